"""Events of silences and of expectations."""

from __future__ import annotations

from typing import ClassVar

from .event import Event


class SilenceAdded(Event, frozen=True):
    """A user began a silence of `seconds`: signals that match `keys` are stored and not sent."""

    id: str
    keys: str
    seconds: float
    reason: str | None
    uid: int
    pid: int


class SilenceEnded(Event, frozen=True):
    """A user ended a silence early. It had silenced so many signals."""

    id: str
    keys: str
    signals: int
    uid: int
    pid: int


class SilenceReported(Event, frozen=True):
    """The signal `id` reports the end of a silence, and how many signals it silenced."""

    id: str
    silence: str
    signals: int


class Silenced(Event, frozen=True):
    """The signal `id` is stored and is not sent, because the silence `silence` matches it."""

    level: ClassVar[str] = "debug"
    id: str
    silence: str


class Expected(Event, frozen=True):
    """A user's program is expected to beat at least every so many seconds from now on."""

    name: str
    every: float
    uid: int
    pid: int


class ExpectationEnded(Event, frozen=True):
    """A user ended an expectation."""

    name: str
    uid: int
    pid: int


class ExpectationLate(Event, frozen=True):
    """The journal has the alarm, the signal `id`: a beat did not come, or the process left. `uid` is -1 for one of alerts.toml."""

    level: ClassVar[str] = "warning"
    id: str
    name: str
    cause: str
    uid: int


class ExpectationMet(Event, frozen=True):
    """A beat came after an alarm, `gap` seconds after the one before. The signal `id` reports it."""

    id: str
    name: str
    gap: float
    uid: int
