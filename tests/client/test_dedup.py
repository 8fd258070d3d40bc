"""Repetition, folded, in plain numbers."""

from __future__ import annotations

from tocsin import dedup as room
from tocsin.dedup import Repetitions


def test_repetitions_pass_the_first_and_count_the_others_within_the_window() -> None:
    floods = Repetitions(10)
    first = floods.add("a", {}, 0)
    assert first is not None
    assert [floods.add("a", {}, now) for now in (1, 2, 9)] == [None, None, None]
    assert floods.finished(9) == []
    assert [(flood is first, flood.more) for flood in floods.finished(10)] == [(True, 3)]


def test_repetitions_report_once_a_window() -> None:
    floods = Repetitions(10)
    told = []
    for now in range(100):
        if floods.add("a", {}, now) is not None:
            told.append(-1)
        told += [flood.more for flood in floods.finished(now)]
    assert told == [-1, *[10] * 9]


def test_repetitions_forget_a_single_message_after_its_window() -> None:
    floods = Repetitions(10)
    floods.add("a", {}, 0)
    assert floods.finished(10) == []
    assert not floods
    assert floods.add("a", {}, 11) is not None


def test_repetitions_report_late_counts() -> None:
    floods = Repetitions(10)
    for now in (0, 1, 30):
        floods.add("a", {}, now)
    assert [flood.more for flood in floods.finished(40)] == [2]


def test_repetitions_report_all_before_the_window_ends() -> None:
    floods = Repetitions(10)
    for key in "aab":
        floods.add(key, {}, 0)
    assert [flood.more for flood in floods.finished(1, all_of_them=True)] == [1]
    assert floods.add("a", {}, 2) is None


def test_repetitions_watch_a_bounded_number_of_messages() -> None:
    floods = Repetitions(10)
    assert all(floods.add(n, {}, 0) is not None for n in range(2 * room.MAX_TEXTS))
    assert floods.add(0, {}, 1) is None
    assert floods.add(2 * room.MAX_TEXTS - 1, {}, 1) is not None


def test_repetitions_with_a_window_of_zero_count_nothing() -> None:
    floods = Repetitions(0)
    assert all(floods.add("a", {}, 0) is not None for _ in range(3))
    assert not floods


def test_repetitions_know_of_unreported_counts() -> None:
    floods = Repetitions(10)
    floods.add("a", {}, 0)
    assert not floods.has_more()
    floods.add("a", {}, 1)
    assert floods.has_more()
    floods.finished(2, all_of_them=True)
    assert not floods.has_more()
