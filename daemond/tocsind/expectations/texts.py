"""The alarm of an expectation and its all-clear, for the people who read them."""

from __future__ import annotations

import os
from hashlib import blake2s

from tocsin.durations import format_duration
from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.policy.expectation import Cause

from .entry import Entry

LastSignal = tuple[str, str, float]  # id, title, when (steady clock)
_LONGEST_TITLE = 100  # code points of another signal's title
_SHORT_ID = 8  # letters; `tocsin why` takes the end of an id


def alarm(entry: Entry, last_signal: LastSignal | None, clock: Clock) -> Signal:
    """The alarm of a late expectation. Its id follows from the commit that made it late."""
    lines = [_what_was_expected(entry, clock), _process_line(entry), *_last_words(entry, last_signal, clock)]
    if entry.state.unreported:
        times = "once" if entry.state.unreported == 1 else f"{entry.state.unreported} times"
        lines.append(f"Since the last alarm it was late {times} and came back.")
    lines.append("What is expected, and when: tocsin expected")
    id_ = _derived_id("late", entry)
    return Signal(
        _title(entry, clock),
        body="\n".join(filter(None, lines)),
        priority=entry.priority,
        source=entry.name,
        host=os.uname().nodename,
        to=list(entry.to) or None,
        key=_key(id_),
        id=id_,
    )


def all_clear(entry: Entry, to: list[str]) -> Signal:
    """A heartbeat came after the alarm. `to`: where the alarm went; empty: by the routes."""
    title = f"{entry.name} is back after {_duration(entry.state.gap or 0.0)} without a heartbeat"
    return _end(entry, to, "back", title, f"It says: {entry.message}" if entry.message else None)


def ended(entry: Entry, to: list[str], uid: int) -> Signal:
    """A user ended an expectation whose alarm stands."""
    return _end(entry, to, "done", f"{entry.name} is no longer expected", f"uid {uid} ended the expectation.")


def _end(entry: Entry, to: list[str], what: str, title: str, body: str | None) -> Signal:
    """The end of the story that the alarm began."""
    return Signal(
        title,
        body=body,
        priority="normal",
        source=entry.name,
        host=os.uname().nodename,
        to=to or None,
        key=_key(entry.alarm or ""),
        done=True,
        id=_derived_id(what, entry),
    )


def _key(alarm: str) -> str:
    """An alarm and its end are one story: one message where messages can be edited, and an end of repetitions."""
    return f"expect {alarm}"


def _title(entry: Entry, clock: Clock) -> str:
    state = entry.state
    if state.cause is Cause.LEFT:
        return f"{entry.name} ended without a goodbye" + (f", {entry.ending}" if entry.ending else "")
    if state.last is None:
        return f"{entry.name} is silent: no heartbeat yet"
    return f"{entry.name} is silent: no heartbeat for {_duration(clock.steady() - state.last)}"


def _what_was_expected(entry: Entry, clock: Clock) -> str:
    state = entry.state
    expected = f"A heartbeat is expected every {_duration(state.every)}"
    if state.last is None:
        return f"{expected}, and none came in {_duration(clock.steady() - state.counted)}."
    if state.cause is Cause.LEFT:
        return f"{expected}; the last one came {_ago(state.last, clock)}."
    return f"{expected}."  # the title says for how long there was none


def _process_line(entry: Entry) -> str:
    """What is known of the watched process."""
    if entry.state.cause is Cause.LEFT and entry.last_process:
        return f"Its process {entry.last_process.pid} ended {entry.ending or 'in an unknown way'}."
    return f"Its process {entry.process.pid} still runs: it may hang." if entry.process else ""


def _last_words(entry: Entry, last_signal: LastSignal | None, clock: Clock) -> list[str]:
    lines = [f"Its last message: {entry.message}"] if entry.message else []
    if last_signal:
        id_, title, at = last_signal
        lines.append(f"Its last signal: {title[:_LONGEST_TITLE]} ({_ago(at, clock)}, {id_[-_SHORT_ID:]})")
    return lines


def _duration(seconds: float) -> str:
    return format_duration(seconds if seconds < 1 else round(seconds))


def _ago(instant: float, clock: Clock) -> str:
    return f"{_duration(max(0.0, clock.steady() - instant))} ago"


def _derived_id(what: str, entry: Entry) -> str:
    identity = f"{what} {entry.uid} {entry.name} {entry.state.since}"
    return id_of(0, blake2s(identity.encode(), digest_size=10).digest())
