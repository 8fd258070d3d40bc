from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.factories import NOW

from tocsind.policy.expectation import (
    BURST,
    EARLY,
    LONGEST,
    MAX_NAME,
    PERIOD,
    SHORTEST,
    Cause,
    Expectation,
    Stage,
    alarm_stored,
    all_clear_stored,
    beat,
    begun,
    changed,
    default_grace,
    due_at,
    left,
    overdue,
    problem,
    resumed,
)

EVERY, GRACE = 60.0, 6.0
seconds = st.floats(0.1, 10_000.0)


def waiting(now: float = NOW) -> Expectation:
    """Its last beat came just now."""
    return beat(begun(EVERY, GRACE, now), now)


def late(now: float = NOW) -> Expectation:
    return overdue(waiting(now - EVERY - GRACE), now)


def reported(now: float = NOW) -> Expectation:
    return alarm_stored(late(now), now)


def test_new_expectation_is_due_after_every_and_grace() -> None:
    state = begun(EVERY, GRACE, NOW)
    assert (state.stage, state.last, due_at(state)) == (Stage.WAITING, None, NOW + 66)


def test_beat_postpones_what_is_due() -> None:
    state = beat(beat(begun(EVERY, GRACE, NOW), NOW + 10), NOW + 30)
    assert (state.last, due_at(state)) == (NOW + 30, NOW + 96)


def test_missing_beat_makes_it_late_at_its_time_and_not_before() -> None:
    state = waiting()
    assert overdue(state, NOW + 65.9) is state
    found = overdue(state, NOW + 66)
    assert (found.stage, found.cause, found.since, due_at(found)) == (Stage.LATE, Cause.NO_BEAT, NOW + 66, NOW + 66)
    assert overdue(found, NOW + 99) is found


def test_process_that_left_makes_it_late_at_once() -> None:
    state = left(waiting(), NOW + 1)
    assert (state.stage, state.cause, due_at(state)) == (Stage.LATE, Cause.LEFT, NOW + 1)


def test_reported_expectation_waits_for_a_beat_only() -> None:
    state = reported()
    assert (state.stage, due_at(state)) == (Stage.REPORTED, inf)
    assert overdue(state, NOW + 10_000) is state
    assert left(state, NOW + 10_000) is state, "the process of a hung program was killed: it is reported already"


def test_beat_after_the_alarm_brings_the_gap_and_ends_with_the_all_clear() -> None:
    state = beat(reported(), NOW + 100)
    assert (state.stage, state.cause, state.gap, due_at(state)) == (Stage.RECOVERED, None, 166, NOW + 100)
    assert beat(state, NOW + 101).gap == 166
    state = all_clear_stored(state, NOW + 101)
    assert (state.stage, state.gap, due_at(state)) == (Stage.WAITING, None, NOW + 166)


def test_gap_of_an_expectation_without_a_beat_counts_from_its_beginning() -> None:
    state = alarm_stored(overdue(begun(EVERY, GRACE, NOW), NOW + 66), NOW + 66)
    assert beat(state, NOW + 80).gap == 80


def test_process_that_leaves_before_the_all_clear_is_stored_is_reported_again() -> None:
    state = left(beat(reported(), NOW + 1), NOW + 2)
    assert (state.stage, state.cause, state.gap) == (Stage.LATE, Cause.LEFT, None)


def test_beat_before_the_alarm_is_stored_needs_no_alarm_and_is_counted() -> None:
    state = beat(late(), NOW + 1)
    assert (state.stage, state.cause, state.unreported, due_at(state)) == (Stage.WAITING, None, 1, NOW + 67)
    again = alarm_stored(left(state, NOW + 2), NOW + 2)
    assert again.unreported == 0, "the alarm has told it"


def test_flapping_expectation_brings_a_burst_of_alarms_and_then_waits() -> None:
    state, now = waiting(), NOW
    for _ in range(BURST):
        now += 1
        state = left(state, now)
        assert due_at(state) == now
        state = all_clear_stored(beat(alarm_stored(state, now), now), now)
    state = left(state, now + 1)
    assert due_at(state) == NOW + 1 + PERIOD
    assert due_at(left(state, NOW + 2 * PERIOD)) == NOW + 2 * PERIOD


def test_beat_that_was_due_during_the_absence_counts_as_one_at_its_end() -> None:
    state = resumed(waiting(), NOW + 60)
    assert due_at(state) == NOW + 60 + 66
    assert state.last == NOW


def test_early_beat_may_be_lost_in_the_absence_too() -> None:
    assert due_at(resumed(waiting(), NOW + 10)) == NOW + 10 + 66
    daily = beat(begun(86_400, 60, NOW), NOW)
    assert due_at(resumed(daily, NOW + 10)) == NOW + 86_460, "a restart postpones a daily job by an hour at most"
    assert due_at(resumed(daily, NOW + 86_000)) == NOW + 86_000 + EARLY + 60


def test_absence_changes_nothing_that_was_late_before() -> None:
    for state in (late(), reported()):
        assert resumed(state, NOW + 500) == state


def test_all_clear_after_an_absence_is_not_followed_by_an_alarm() -> None:
    state = resumed(beat(reported(), NOW), NOW + 500)
    assert due_at(state) == NOW
    assert due_at(all_clear_stored(state, NOW + 500)) == NOW + 500 + 66


def test_clock_that_went_back_over_a_reboot_makes_nothing_due_later_than_a_beat_now() -> None:
    state = resumed(waiting(NOW + 1e6), NOW)
    assert (state.last, state.since, due_at(state)) == (NOW, NOW, NOW + 66)
    assert resumed(begun(EVERY, GRACE, NOW + 1e6), NOW).last is None


@given(st.floats(1.0, EARLY), st.lists(st.tuples(st.floats(0.05, 1.0), st.booleans()), max_size=40), seconds)
def test_program_that_beats_in_time_is_never_late_whatever_the_daemon_misses(
    every: float, steps: list[tuple[float, bool]], downtime: float
) -> None:
    """The program beats within `every`; the daemon is down for some of its beats, and sleeps with its machine."""
    now, state = NOW, beat(begun(every, default_grace(every), NOW), NOW)
    for share, heard in steps:
        now += share * every
        if heard:
            assert overdue(state, now).stage is Stage.WAITING
            state = beat(state, now)
        else:
            state = resumed(state, now)
    state = resumed(state, now + downtime)
    assert due_at(state) >= now + downtime + every


@given(st.lists(st.sampled_from(["beat", "left", "alarm", "clear", "time", "restart"]), max_size=60), seconds)
def test_alarms_and_all_clears_take_turns(events: list[str], step: float) -> None:
    state, now, said = waiting(), NOW, list[str]()
    for event in events:
        now += step
        state = overdue(state, now)
        match event:
            case "beat":
                state = beat(state, now)
            case "left":
                state = left(state, now)
            case "restart":
                state = resumed(state, now)
            case "alarm" if state.stage is Stage.LATE and now >= due_at(state):
                state = alarm_stored(state, now)
                said.append("alarm")
            case "clear" if state.stage is Stage.RECOVERED:
                state = all_clear_stored(state, now)
                said.append("clear")
        assert (state.stage is Stage.LATE) <= (state.cause is not None)
        assert (state.gap is not None) == (state.stage is Stage.RECOVERED)
    assert all(each == "alarm" for each in said[:1])
    assert all((one, other) != ("clear", "clear") for one, other in pairwise(said))


def test_changed_times_count_from_the_last_beat() -> None:
    assert due_at(changed(waiting(), 10, 1)) == NOW + 11


def test_default_grace_is_a_tenth_and_at_most_a_minute() -> None:
    assert (default_grace(60), default_grace(86_400)) == (6, 60)


@pytest.mark.parametrize(
    ("name", "every", "grace", "words"),
    [
        ("", 1.0, None, "1 to 64 printable characters"),
        ("x" * (MAX_NAME + 1), 1.0, None, "1 to 64 printable characters"),
        (" x", 1.0, None, "no space at its ends"),
        ("a\nb", 1.0, None, "printable"),
        ("tocsin", 1.0, None, "is reserved to tocsin itself"),
        ("x", SHORTEST / 2, None, "at least 0.1 s"),
        ("x", float("nan"), None, "at least 0.1 s"),
        ("x", LONGEST * 2, None, "at most 366 days"),
        ("x", 1.0, -1.0, "`grace` is at most 366 days"),
        ("x", None, inf, "`grace` is at most 366 days"),
    ],
)
def test_problem_names_what_is_wrong(name: str, every: float | None, grace: float | None, words: str) -> None:
    assert words in str(problem(name, every, grace))


def test_problem_accepts_the_base_names_of_commands() -> None:
    for name in ("backup.sh", "[", "my job", "größer", "x" * MAX_NAME):
        assert problem(name, LONGEST, 0.0) is None
        assert problem(name, None, None) is None
