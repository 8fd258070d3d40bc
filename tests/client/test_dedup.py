"""Repetition, folded, in plain numbers."""

from __future__ import annotations

from tocsin import dedup as room
from tocsin.dedup import Repetitions


def test_repetitions_pass_the_first_and_count_the_others_within_the_window() -> None:
    repetitions = Repetitions(10)
    first = repetitions.add("a", {}, 0)
    assert first is not None
    assert [repetitions.add("a", {}, now) for now in (1, 2, 9)] == [None, None, None]
    assert repetitions.finished(9) == []
    assert [(each is first, each.more) for each in repetitions.finished(10)] == [(True, 3)]


def test_repetitions_report_once_a_window() -> None:
    repetitions = Repetitions(10)
    told = []
    for now in range(100):
        if repetitions.add("a", {}, now) is not None:
            told.append(-1)
        told += [each.more for each in repetitions.finished(now)]
    assert told == [-1, *[10] * 9]


def test_repetitions_forget_a_single_message_after_its_window() -> None:
    repetitions = Repetitions(10)
    repetitions.add("a", {}, 0)
    assert repetitions.finished(10) == []
    assert not repetitions
    assert repetitions.add("a", {}, 11) is not None


def test_repetitions_report_late_counts() -> None:
    repetitions = Repetitions(10)
    for now in (0, 1, 30):
        repetitions.add("a", {}, now)
    assert [each.more for each in repetitions.finished(40)] == [2]


def test_repetitions_report_all_before_the_window_ends() -> None:
    repetitions = Repetitions(10)
    for key in "aab":
        repetitions.add(key, {}, 0)
    assert [each.more for each in repetitions.finished(1, all_of_them=True)] == [1]
    assert repetitions.add("a", {}, 2) is None


def test_repetitions_watch_a_bounded_number_of_messages() -> None:
    repetitions = Repetitions(10)
    assert all(repetitions.add(n, {}, 0) is not None for n in range(2 * room.MAX_TEXTS))
    assert repetitions.add(0, {}, 1) is None
    assert repetitions.add(2 * room.MAX_TEXTS - 1, {}, 1) is not None


def test_repetitions_with_a_window_of_zero_count_nothing() -> None:
    repetitions = Repetitions(0)
    assert all(repetitions.add("a", {}, 0) is not None for _ in range(3))
    assert not repetitions


def test_repetitions_know_of_unreported_counts() -> None:
    repetitions = Repetitions(10)
    repetitions.add("a", {}, 0)
    assert not repetitions.has_more()
    repetitions.add("a", {}, 1)
    assert repetitions.has_more()
    repetitions.finished(2, all_of_them=True)
    assert not repetitions.has_more()
