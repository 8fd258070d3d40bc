"""Repetition, folded, in plain numbers."""

from __future__ import annotations

from tocsin import floods as room
from tocsin.floods import Floods


def test_the_first_passes_and_the_others_are_counted_until_the_window_is_over() -> None:
    floods = Floods(10)
    first = floods.begin("a", {}, 0)
    assert first is not None
    assert [floods.begin("a", {}, now) for now in (1, 2, 9)] == [None, None, None]
    assert floods.over(9) == []
    assert [(flood is first, flood.more) for flood in floods.over(10)] == [(True, 3)]


def test_a_flood_that_goes_on_is_told_once_a_window() -> None:
    floods = Floods(10)
    told = []
    for now in range(100):
        if floods.begin("a", {}, now) is not None:
            told.append(-1)
        told += [flood.more for flood in floods.over(now)]
    assert told == [-1, *[10] * 9]


def test_what_was_not_repeated_is_forgotten_with_its_window() -> None:
    floods = Floods(10)
    floods.begin("a", {}, 0)
    assert floods.over(10) == []
    assert not floods
    assert floods.begin("a", {}, 11) is not None


def test_a_repetition_that_nobody_came_to_tell_is_told_later() -> None:
    floods = Floods(10)
    for now in (0, 1, 30):
        floods.begin("a", {}, now)
    assert [flood.more for flood in floods.over(40)] == [2]


def test_all_can_be_told_before_their_time_and_count_on() -> None:
    floods = Floods(10)
    for key in "aab":
        floods.begin(key, {}, 0)
    assert [flood.more for flood in floods.over(1, all_of_them=True)] == [1]
    assert floods.begin("a", {}, 2) is None


def test_different_messages_are_no_flood_and_the_memory_of_them_is_bounded() -> None:
    floods = Floods(10)
    assert all(floods.begin(n, {}, 0) is not None for n in range(2 * room.MOST))
    assert floods.begin(0, {}, 1) is None
    assert floods.begin(2 * room.MOST - 1, {}, 1) is not None


def test_no_window_folds_nothing() -> None:
    floods = Floods(0)
    assert all(floods.begin("a", {}, 0) is not None for _ in range(3))
    assert not floods


def test_floods_report_repetitions_that_are_not_told_yet() -> None:
    floods = Floods(10)
    floods.begin("a", {}, 0)
    assert not floods.has_more()
    floods.begin("a", {}, 1)
    assert floods.has_more()
    floods.over(2, all_of_them=True)
    assert not floods.has_more()
