"""What a signal becomes by the configuration in force: checked, placed, dated. Nothing is stored here, and nobody is told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.replies import with_note
from tocsin.signals import Receipt, Signal
from tocsind.clock import Clock
from tocsind.config import Config
from tocsind.journal import Arrival, queue
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.routes import Router, by_rules, priority_of

_encode = msgspec.msgpack.Encoder().encode


class Peer(msgspec.Struct, frozen=True):
    """Who handed something in, as the kernel says (SO_PEERCRED)."""

    uid: int
    gid: int
    pid: int


class _Instant(NamedTuple):
    """One moment on the two clocks that an arrival is dated by."""

    wall: float
    steady: float


class Admission:
    """Makes arrivals of signals. `config` may be exchanged at any time."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._router = (config, Router(config.priorities, config.routes))

    def check(self, signal: Signal) -> None:
        """Raises InvalidSignal when `to` names no destination."""
        for name in signal.to or ():
            if name not in self.config.destinations:
                raise InvalidSignal(
                    "to", f"there is no destination {name!r}; there are {', '.join(self.config.destinations)}"
                )

    def arrivals(self, signals: Sequence[Signal], peer: Peer, ages: Sequence[float] = ()) -> list[Arrival]:
        """Signals as they come in together; `ages` says how many seconds ago each was handed over, where that was not just now."""
        now = self._now()
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

    def _now(self) -> _Instant:
        return _Instant(self._clock.wall(), self._clock.steady())

    def reroute(self, body: bytes) -> tuple[str, ...]:
        """Where a signal belongs today whose destination is gone, given as the journal has it."""
        signal = Signal.trusted(msgspec.msgpack.decode(body))
        priority = priority_of(signal, self.config.priorities)
        wished = tuple(name for name in signal.to or () if name in self.config.destinations)
        return wished or by_rules(signal, priority, self.config.routes)

    def _arrival(self, signal: Signal, peer: Peer, now: _Instant, age: float = 0.0) -> Arrival:
        values = signal.as_dict()
        if signal.timestamp_text is not None and signal.timestamp is None:  # it counts as now, and is kept as text
            values["timestamp"] = now.wall
        body = _encode(values)
        priority, destinations = self._route(signal)
        deadline = None if signal.expires is None else now.steady + signal.expires - age
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
        )

    def _route(self, signal: Signal) -> tuple[Priority, tuple[str, ...]]:
        """Priority and destinations."""
        config, router = self._router
        if config is not self.config:
            config = self.config
            router = Router(config.priorities, config.routes)
            self._router = (config, router)
        return router(signal)


def receipts_of(arrivals: Sequence[Arrival], stored: Sequence[Arrival | None]) -> list[Receipt]:
    """A receipt each, given what the journal made of them."""
    return [_receipt(arrival, entered) for arrival, entered in zip(arrivals, stored, strict=True)]


def with_notes(receipts: Sequence[Receipt], signals: Sequence[Signal]) -> list[Receipt]:
    """The receipts, and what there is to say of the files that did not come along."""
    return [
        Receipt(each.id, each.state, with_note(signal, each.reason)) if each.state == "stored" else each
        for each, signal in zip(receipts, signals, strict=True)
    ]


def with_sources(receipts: Sequence[Receipt], notes: Sequence[str | None]) -> list[Receipt]:
    """The receipts, and what there is to say of sources that are reserved; no notes at all where there is nothing."""
    if not notes:
        return list(receipts)
    return [
        Receipt(each.id, each.state, "; ".join(filter(None, (each.reason, told)))) if told else each
        for each, told in zip(receipts, notes, strict=True)
    ]


def _receipt(arrival: Arrival, entered: Arrival | None) -> Receipt:
    if entered is None:
        return Receipt(arrival.id, "duplicate", "this id was stored before")
    notes = [] if entered.id == arrival.id else [f"the id {arrival.id} is that of another user's signal"]
    notes += [] if entered.destinations else [queue.NO_ROUTE]
    return Receipt(entered.id, "stored", "; ".join(notes) or None)
