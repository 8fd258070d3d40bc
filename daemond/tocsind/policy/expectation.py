"""Expectations: a program beats at least every so often; one that does not is reported, and so is its return.

              beat                          beat: with the gap
            .------.                     .------------------------.
            v      |                     |                        v
          WAITING -+-- due passed ---> LATE --- alarm stored ---> REPORTED
            ^  ^   '-- process left --->'  |                        | beat
            |  '-------- beat -------------'                        v
            '-------------------- all-clear stored ------------- RECOVERED

    WAITING    the next beat is due `every` + `grace` after the last one
    LATE       the beat did not come, or the watched process ended without a goodbye; the alarm is to be stored
    REPORTED   the journal has the alarm; nothing more is said until a beat comes
    RECOVERED  a beat came after the alarm; the all-clear, with the gap, is to be stored

A beat also begins an expectation. A goodbye is a beat after which the process is no longer watched; the expectation goes on, because a
nightly job says goodbye every night. `done` ends it.

The daemon's absence is not the program's. Beats that were sent while the daemon was down, stopped or asleep with its machine are lost, so
`resumed` postpones what is due: a beat that was due in that time counts as one that came at its end; for any other, an early beat may have
been lost, and the next one gets `every` more time, at most EARLY.

An expectation that fails again and again brings BURST alarms in PERIOD; then its alarm waits, and `unreported` counts how often a beat came
first. All instants are seconds of the steady clock.
"""

from __future__ import annotations

from enum import Enum
from math import inf

import msgspec

from .sources import is_reserved

SHORTEST = 0.1  # s
LONGEST = 366 * 86400.0  # s
MAX_NAME = 64  # code points
MAX_MESSAGE = 300  # code points of the last words
MAX_PER_USER = 100  # expectations of one uid
MAX_ALL = 1000
BURST = 6  # alarms of one expectation in
PERIOD = 600.0  # s
EARLY = 3600.0  # s; the most that the daemon's absence postpones a beat that was not due in it


class Stage(Enum):
    """The values are words of the journal and of `tocsin expected --json`."""

    WAITING = "waiting"
    LATE = "late"
    REPORTED = "reported"
    RECOVERED = "recovered"


class Cause(Enum):
    """Why an expectation is late. The values are words of the journal and of `tocsin expected --json`."""

    NO_BEAT = "no beat"
    LEFT = "left"


class Expectation(msgspec.Struct, frozen=True):
    """The state of one expectation."""

    every: float
    grace: float
    counted: (
        float  # the next beat is due `every` + `grace` after this: the last beat, the beginning, or the daemon's return
    )
    since: float  # when it entered its stage
    last: float | None = None  # the last beat; None: none came yet
    stage: Stage = Stage.WAITING
    cause: Cause | None = None
    gap: float | None = None  # RECOVERED: seconds without a beat
    alarms: tuple[float, ...] = ()  # when the latest alarms were stored
    unreported: int = 0  # how often it was late since the last alarm and a beat came before the alarm was due


def due_at(state: Expectation) -> float:
    """When something is to be done without a further event: `overdue`, the alarm or the all-clear. Infinity while only a beat matters."""
    match state.stage:
        case Stage.WAITING:
            return state.counted + state.every + state.grace
        case Stage.LATE:
            return max(state.since, state.alarms[-BURST] + PERIOD) if len(state.alarms) >= BURST else state.since
        case Stage.RECOVERED:
            return state.since
        case _:
            return inf


def begun(every: float, grace: float, now: float) -> Expectation:
    """A new expectation; its first beat is due like every other."""
    return Expectation(every, grace, now, now)


def beat(state: Expectation, now: float) -> Expectation:
    """A beat came."""
    known = {"counted": now, "last": now}
    match state.stage:
        case Stage.REPORTED:
            gap = now - (state.counted if state.last is None else state.last)
            return _replace(state, **known, since=now, stage=Stage.RECOVERED, cause=None, gap=gap)
        case Stage.LATE:
            missed = state.unreported + 1
            return _replace(state, **known, since=now, stage=Stage.WAITING, cause=None, unreported=missed)
        case _:
            return _replace(state, **known)


def overdue(state: Expectation, now: float) -> Expectation:
    """The state at `now`: late where the beat did not come."""
    if state.stage is not Stage.WAITING or now < due_at(state):
        return state
    return _replace(state, since=now, stage=Stage.LATE, cause=Cause.NO_BEAT)


def left(state: Expectation, now: float) -> Expectation:
    """The watched process ended without a goodbye. One that was reported before is not reported again."""
    if state.stage is Stage.REPORTED:
        return state
    return _replace(state, since=now, stage=Stage.LATE, cause=Cause.LEFT, gap=None)


def alarm_stored(state: Expectation, now: float) -> Expectation:
    """The journal has the alarm."""
    latest = (*state.alarms, now)[-BURST:]
    return _replace(state, since=now, stage=Stage.REPORTED, alarms=latest, unreported=0)


def all_clear_stored(state: Expectation, now: float) -> Expectation:
    """The journal has the all-clear."""
    return _replace(state, since=now, stage=Stage.WAITING, gap=None)


def resumed(state: Expectation, now: float) -> Expectation:
    """The daemon is back after a time in which it heard nothing."""
    counted, last = min(state.counted, now), None if state.last is None else min(state.last, now)
    state = _replace(state, counted=counted, last=last, since=min(state.since, now))
    if state.stage in {Stage.LATE, Stage.REPORTED}:
        return state
    if counted + state.every <= now:
        return _replace(state, counted=now)
    return _replace(state, counted=max(counted, now + min(state.every, EARLY) - state.every))


def changed(state: Expectation, every: float, grace: float) -> Expectation:
    """The same with other times."""
    return _replace(state, every=every, grace=grace)


def default_grace(every: float) -> float:
    """A tenth of `every`, at most a minute."""
    return min(every / 10, 60.0)


def problem(name: str, every: float | None, grace: float | None) -> str | None:
    """Why there cannot be such an expectation, as a sentence; None when there can."""
    if not 0 < len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
        return f"a name has 1 to {MAX_NAME} printable characters, and no space at its ends"
    if is_reserved(name):
        return f"the name {name!r} is reserved to tocsin itself"
    if every is not None and not SHORTEST <= every <= LONGEST:
        return f"`every` is at least {SHORTEST:g} s and at most {LONGEST / 86400:g} days"
    if grace is not None and not 0 <= grace <= LONGEST:
        return f"`grace` is at most {LONGEST / 86400:g} days, and not less than none"
    return None


def _replace(state: Expectation, **changes: object) -> Expectation:
    return msgspec.structs.replace(state, **changes)
