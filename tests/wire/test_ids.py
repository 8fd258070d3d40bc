"""Ids are ULIDs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.ids import ALPHABET, LENGTH, id_of, is_id, new_id


def _number(id_: str) -> int:
    number = 0
    for letter in id_:
        number = number * 32 + ALPHABET.index(letter)
    return number


def test_ulid_contains_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    id_ = new_id()
    after = time.time_ns() // 1_000_000
    assert before <= _number(id_) >> 80 <= after


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ulid_contains_its_time_and_bytes(milliseconds: int, rest: bytes) -> None:
    assert _number(id_of(milliseconds, rest)) == milliseconds << 80 | int.from_bytes(rest, "big")


def test_ulid_random_letters_use_the_whole_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda size: bytes(range(240, 240 + size)))
    assert new_id()[10:] == ALPHABET[16:]


def test_ulids_are_unique() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert all(map(is_id, ids))


def test_ulids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1_700_000_000_000, 1_700_000_000_100))
    monkeypatch.setattr("time.time_ns", lambda: next(moments) * 1_000_000)
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 25,
        "0" * 27,
        "8" + "0" * 25,
        "I" * 26,
        "0" * 25 + "u",
        "0" * 25 + "O",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 26,
    ],
)
def test_is_id_rejects_other_texts(text: str) -> None:
    assert not is_id(text)


@given(st.text())
def test_is_id_accepts_any_text_as_argument(text: str) -> None:
    assert is_id(text) in (True, False)


@given(st.text(ALPHABET, min_size=LENGTH - 1, max_size=LENGTH - 1), st.sampled_from("01234567"))
def test_ulid_of_any_128_bits_is_an_id(rest: str, first: str) -> None:
    assert is_id(first + rest)
    assert _number(first + rest) < 2**128
