"""Suggestions: the most likely word first, and none when no word is near."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli import VERBS
from tocsin.cli.suggestion import did_you_mean
from tocsin.likely_words import distance, likely, likely_or_all

WORDS = st.text("abcd-", max_size=7)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stats", "status"),
        ("statsu", "status"),
        ("stat", "status"),
        ("sned", "send"),
        ("tset", "test"),
        ("SEND", "send"),
        ("logs", "tail"),
        ("delete", "drop"),
        ("queu", "queue"),
        ("enabel", "enable"),
    ],
)
def test_suggestion_names_the_likely_verb(word: str, meant: str) -> None:
    assert did_you_mean(word, VERBS) == f"; did you mean {meant}?"


@pytest.mark.parametrize("word", ["foo", "zzz", "t", "", "-", "configuration"])
def test_suggestion_is_absent_when_no_verb_is_near(word: str) -> None:
    assert did_you_mean(word, VERBS) == ""


def test_suggestion_prefers_the_beginning_to_a_typing_error() -> None:
    assert likely("local", ["lokal", "local-file"]) == ["local-file"]


def test_suggestion_names_two_words_that_are_equally_likely() -> None:
    assert likely("--tax", ["--tag", "--tap", "--to"]) == ["--tag", "--tap"]


def test_suggestion_lists_all_when_none_is_near() -> None:
    assert likely_or_all("x", ["general", "free"]) == "there are general, free"
    assert likely_or_all("x", []) == "there are none"
    assert likely_or_all("genral", ["general", "free"]) == "did you mean general?"


@given(WORDS, WORDS)
def test_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one) <= max(len(one), len(other))
    assert (distance(one, other) == 0) is (one == other)


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6))
def test_suggestion_is_one_of_the_known_words(word: str, known: list[str]) -> None:
    assert set(likely(word, known)) <= set(known)
