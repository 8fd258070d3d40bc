"""What a signal becomes under the configuration in force: its destinations, priority and deadline. Stores nothing, emits nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.likely_words import likely_or_all
from tocsin.replies import with_note
from tocsin.signals import Receipt, Signal
from tocsind.clock import Clock
from tocsind.journal import Arrival, queue
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet import Hold
from tocsind.policy.routes import Route, Router, applying, by_rules, priority_of
from tocsind.policy.silence import Silence
from tocsind.policy.story import ends_story

from .active_config import ActiveConfig
from .hosts import Hosts
from .quiet import Quiet

_encode = msgspec.msgpack.Encoder().encode


class Peer(msgspec.Struct, frozen=True):
    """The sender's process, as the kernel reports it (SO_PEERCRED)."""

    uid: int
    gid: int
    pid: int


class _Instant(NamedTuple):
    """One moment on the two clocks that date an arrival."""

    wall: float
    steady: float


class Admission:
    """Makes arrivals of signals."""

    def __init__(
        self,
        config: ActiveConfig,
        clock: Clock,
        silence_of: Callable[[Signal, Priority], Silence | None],
        quiet: Quiet,
        hosts: Hosts,
    ) -> None:
        self._config = config
        self._clock = clock
        self.silence_of = silence_of
        self._quiet = quiet
        self._hosts = hosts
        self._router = (config.current, Router(config.current.priorities, config.current.routes))

    def check(self, signal: Signal) -> None:
        """Raises InvalidSignal when `to` names no destination."""
        destinations = self._config.current.destinations
        for name in signal.to or ():
            if name not in destinations:
                raise InvalidSignal("to", f"there is no destination {name!r}; {likely_or_all(name, destinations)}")

    def destinations(self) -> set[str]:
        """The names of the destinations of the configuration in force."""
        return set(self._config.current.destinations)

    def arrivals(self, signals: Sequence[Signal], peer: Peer, ages: Sequence[float] = ()) -> list[Arrival]:
        """The arrivals of signals that came together. `ages`: how many seconds ago each was sent; empty when all were sent just now."""
        now = self._now()
        for signal in signals:
            self._hosts.note(signal.host)
        return [
            self._arrival(signal, peer, now, age) for signal, age in zip(signals, ages or repeat(0.0), strict=False)
        ]

    def preview(self, signal: Signal) -> tuple[Priority, list[Delivery]]:
        """A signal's priority, and a delivery for each destination."""
        arrival = self._arrival(signal, Peer(0, 0, 0), self._now())
        priority, seen = Priority(arrival.priority), Signal.trusted(msgspec.msgpack.decode(arrival.body))
        return priority, [
            Delivery(0, seen, name, priority, arrival.accepted, arrival.deadline, skew=arrival.skew)
            for name in arrival.destinations
        ]

    def routes(self, signal: Signal, priority: Priority) -> list[tuple[int, Route]]:
        """The routes that lead a signal to its destinations, with their numbers from 1; none when the signal names its own."""
        return [] if signal.to else list(applying(signal, priority, self._config.current.routes))

    def holds(self, signal: Signal) -> Mapping[str, Hold]:
        """The destinations at which this signal would be held, and why."""
        return self._arrival(signal, Peer(0, 0, 0), self._now()).holds

    def _now(self) -> _Instant:
        return _Instant(self._clock.wall(), self._clock.steady())

    def reroute(self, body: bytes) -> tuple[str, ...]:
        """The destinations, under the configuration in force, of a stored signal whose own destination is gone."""
        config, signal = self._config.current, Signal.trusted(msgspec.msgpack.decode(body))
        named = tuple(name for name in signal.to or () if name in config.destinations)
        return named or by_rules(signal, priority_of(signal, config.priorities), config.routes)

    def _arrival(self, signal: Signal, peer: Peer, now: _Instant, age: float = 0.0) -> Arrival:
        values = signal.as_dict()
        if signal.timestamp_text is not None and signal.timestamp is None:  # unreadable: stored as text, and as now
            values["timestamp"] = now.wall
        self._hosts.add_to(values)
        body = _encode(values)
        priority, destinations = self._route(signal)
        silence = self.silence_of(signal, priority)
        deadline = None if signal.expires is None else now.steady + signal.expires - age
        delays = self._router[1].delays(signal, priority)
        holds = self._quiet.holds_of(signal, priority, destinations, delays, now.steady - age)
        return Arrival(
            signal.id,
            now.wall,
            peer.uid,
            peer.pid,
            body,
            int(priority),
            destinations,
            deadline,
            signal.key or None,
            now.steady - now.wall,
            None if silence is None else (silence.id, silence.settlement()),
            "payload" in values,
            holds if silence is None else {},
            ends_story(signal),
        )

    def _route(self, signal: Signal) -> tuple[Priority, tuple[str, ...]]:
        """Priority and destinations. The router of the configuration in force is made once."""
        config = self._config.current
        if self._router[0] is not config:
            self._router = (config, Router(config.priorities, config.routes))
        return self._router[1](signal)


def receipts_of(arrivals: Sequence[Arrival], stored: Sequence[Arrival | None]) -> list[Receipt]:
    """A receipt for each arrival. `stored`: what the journal made of it; None for a duplicate."""
    return [_receipt(arrival, entered) for arrival, entered in zip(arrivals, stored, strict=True)]


def with_notes(receipts: Sequence[Receipt], signals: Sequence[Signal]) -> list[Receipt]:
    """The receipts, with the reason why an attachment was dropped."""
    return [
        Receipt(each.id, each.state, with_note(signal, each.reason)) if each.state == "stored" else each
        for each, signal in zip(receipts, signals, strict=True)
    ]


def with_sources(receipts: Sequence[Receipt], notes: Sequence[str | None]) -> list[Receipt]:
    """The receipts, each with its note on a reserved source, where there is one. `notes` may be empty."""
    if not notes:
        return list(receipts)
    return [
        Receipt(each.id, each.state, "; ".join(filter(None, (each.reason, text)))) if text else each
        for each, text in zip(receipts, notes, strict=True)
    ]


def _receipt(arrival: Arrival, entered: Arrival | None) -> Receipt:
    if entered is None:
        return Receipt(arrival.id, "duplicate", "this id was stored before")
    notes = [] if entered.id == arrival.id else [f"the id {arrival.id} is that of another user's signal"]
    if entered.silence is not None:
        notes.append(f"not sent: {entered.silence[1]}")
    elif not entered.destinations:
        notes.append(queue.NO_ROUTE)
    return Receipt(entered.id, "stored", "; ".join(notes) or None)
