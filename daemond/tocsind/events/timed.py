"""Events of silences: an operator's decisions to hear nothing of some signals for a while."""

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
