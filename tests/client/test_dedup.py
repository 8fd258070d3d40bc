"""Repetition, folded, in plain numbers."""

from __future__ import annotations

from tocsin import dedup as room
from tocsin.dedup import Repetitions


def test_the_first_passes_and_the_others_are_counted_until_the_window_is_over() -> None:
    floods = Repetitions(10)
    first = floods.add("a", {}, 0)
    assert first is not None
    assert [floods.add("a", {}, now) for now in (1, 2, 9)] == [None, None, None]
    assert floods.finished(9) == []
    assert [(flood is first, flood.more) for flood in floods.finished(10)] == [(True, 3)]


def test_a_flood_that_goes_on_is_told_once_a_window() -> None:
    floods = Repetitions(10)
    told = []
    for now in range(100):
        if floods.add("a", {}, now) is not None:
            told.append(-1)
        told += [flood.more for flood in floods.finished(now)]
    assert told == [-1, *[10] * 9]


def test_what_was_not_repeated_is_forgotten_with_its_window() -> None:
    floods = Repetitions(10)
    floods.add("a", {}, 0)
    assert floods.finished(10) == []
    assert not floods
    assert floods.add("a", {}, 11) is not None


def test_a_repetition_that_nobody_came_to_tell_is_told_later() -> None:
    floods = Repetitions(10)
    for now in (0, 1, 30):
        floods.add("a", {}, now)
    assert [flood.more for flood in floods.finished(40)] == [2]


def test_all_can_be_told_before_their_time_and_count_on() -> None:
    floods = Repetitions(10)
    for key in "aab":
        floods.add(key, {}, 0)
    assert [flood.more for flood in floods.finished(1, all_of_them=True)] == [1]
    assert floods.add("a", {}, 2) is None


def test_different_messages_are_no_flood_and_the_memory_of_them_is_bounded() -> None:
    floods = Repetitions(10)
    assert all(floods.add(n, {}, 0) is not None for n in range(2 * room.MAX_TEXTS))
    assert floods.add(0, {}, 1) is None
    assert floods.add(2 * room.MAX_TEXTS - 1, {}, 1) is not None


def test_no_window_folds_nothing() -> None:
    floods = Repetitions(0)
    assert all(floods.add("a", {}, 0) is not None for _ in range(3))
    assert not floods


def test_floods_report_repetitions_that_are_not_told_yet() -> None:
    floods = Repetitions(10)
    floods.add("a", {}, 0)
    assert not floods.has_more()
    floods.add("a", {}, 1)
    assert floods.has_more()
    floods.finished(2, all_of_them=True)
    assert not floods.has_more()
