"""One expectation: state, settings, row and view."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from tocsind.clock import Clock, steady_to_wall
from tocsind.journal import ExpectationRow
from tocsind.journal.expectations import CONFIGURED
from tocsind.policy.expectation import Cause, Expectation, Stage, due_at

from .process import Process

Owner = tuple[int, str]  # uid and name


class Entry(msgspec.Struct, frozen=True):
    """Everything that is known of one expectation."""

    uid: int  # CONFIGURED for one of alerts.toml
    name: str
    state: Expectation
    priority: str = "high"
    to: tuple[str, ...] = ()
    message: str | None = None  # the last words of a beat
    process: Process | None = None  # the watched one
    last_process: Process | None = None  # the one that the alarm is about
    ending: str | None = None  # how it ended
    alarm: str | None = None  # id of the last alarm
    alarmed: tuple[str, ...] = ()  # its destinations

    @property
    def owner(self) -> Owner:
        """Its identity."""
        return self.uid, self.name

    @property
    def is_configured(self) -> bool:
        """Whether alerts.toml names it."""
        return self.uid == CONFIGURED

    def row(self) -> ExpectationRow:
        """Its row in the journal."""
        state, process = self.state, self.process or self.last_process
        return ExpectationRow(
            self.uid,
            self.name,
            state.every,
            state.grace,
            self.priority,
            json.dumps(self.to),
            state.counted,
            state.since,
            state.last,
            state.stage.value,
            state.cause and state.cause.value,
            state.gap,
            self.message,
            None if process is None else process.pid,
            None if process is None else process.identity,
            None if process is None else process.boot,
            self.ending,
            self.alarm,
            json.dumps(self.alarmed),
        )

    def view(self, clock: Clock) -> dict[str, Any]:
        """As `tocsin expected --json` shows it."""
        state, now = self.state, clock.steady()
        due = due_at(state)
        return {
            "name": self.name,
            "uid": None if self.is_configured else self.uid,
            "configured": self.is_configured,
            "every": state.every,
            "grace": state.grace,
            "priority": self.priority,
            "to": list(self.to),
            "state": state.stage.value,
            "cause": state.cause and state.cause.value,
            "last": None if state.last is None else steady_to_wall(clock, state.last),
            "last_seconds": None if state.last is None else round(now - state.last, 3),
            "due_seconds": round(due - now, 3) if state.stage is Stage.WAITING else None,
            "pid": self.process and self.process.pid,
            "message": self.message,
            "alarm": self.alarm,
            "unreported": state.unreported,
        }


def entry_of(row: ExpectationRow) -> Entry:
    """The expectation of a row. Its process is `process` while it may run, and `last_process` once it was reported."""
    state = Expectation(
        row.every,
        row.grace,
        row.counted,
        row.since,
        row.last,
        Stage(row.stage),
        None if row.cause is None else Cause(row.cause),
        row.gap,
    )
    process = None if row.pid is None else Process(row.pid, row.started or 0, row.boot or "")
    found: Mapping[str, Process | None] = {"last_process" if state.cause is Cause.LEFT else "process": process}
    return Entry(
        row.uid,
        row.name,
        state,
        priority=row.priority,
        to=tuple(json.loads(row.destinations)),
        message=row.message,
        ending=row.ending,
        alarm=row.alarm,
        alarmed=tuple(json.loads(row.alarmed)),
        **found,
    )
