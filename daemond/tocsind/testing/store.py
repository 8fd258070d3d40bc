"""The delivery store in memory: what a lane needs of the journal, without a disk.

The store decides nothing itself and settles by the same law as the journal's. It forgets everything with the process, and makes no
digests; live messages follow `policy.live_message`. One contract runs over it and over `core.settle.JournalStore` with a real
journal (tests/delivery/test_store.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any, Protocol

import msgspec
import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.journal import LaneState, LimitState, RequestRecord, RequestStart
from tocsind.journal.rerouting import RETURNED
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, Settlement, State, expired, settle
from tocsind.policy.live_message import LiveMessage
from tocsind.policy.live_update import after, build, is_message_gone
from tocsind.policy.outcomes import Outcome, is_unsent
from tocsind.policy.patience import Fitness, ranked
from tocsind.policy.routes import chain


class LaneHandle(Protocol):
    """A lane, as far as the store calls it."""

    def wake(self, priority: Priority) -> None:
        """There is something new."""

    def rewind(self) -> None:
        """Something old came back."""

    def fitness(self) -> Fitness:
        """How fit the destination is to stand in for another."""

    def recheck_fallbacks(self) -> None:
        """Another destination can do what it could not, or the other way round."""


class _Entry:
    """A delivery and where it stands."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.hurried = 0  # 1: its patience was over where it came from; RETURNED: it came back
        self.state = State.QUEUED
        self.reason: str | None = None


class _Asked:
    """A request, and when its answer came."""

    def __init__(self, asking: RequestStart) -> None:
        self.asking = asking
        self.answered: float | None = None

    @property
    def request(self) -> RequestRecord:
        """As a lane is told of it."""
        return RequestRecord(self.answered, self.asking.expedited, self.asking.destination)


class MemoryStore:
    """A lane's `DeliveryStore`, without a disk. `jitter` is a constant draw; `chunk` is what one `divert` moves."""

    def __init__(
        self,
        clock: Clock,
        fallbacks: Mapping[str, Sequence[str]] | None = None,
        *,
        jitter: float = 0.0,
        chunk: int = 500,
    ) -> None:
        self.lanes: dict[str, LaneHandle] = {}
        self.memories: dict[str, LaneState] = {}
        self.scopes: dict[str, LimitState] = {}
        self.asked: list[_Asked] = []
        self.settlements: list[Settlement] = []
        self.shared_commits = 0  # of a settlement and the next claim
        self.living: dict[
            tuple[str, str, str], tuple[LiveMessage, Delivery | None]
        ] = {}  # by destination, key, far end
        self.fed: list[int] = []
        self.gathers = 0.0  # s, `gathering_seconds`
        self._clock = clock
        self._fallbacks = fallbacks or {}
        self._jitter: Callable[[], float] = lambda: jitter
        self._chunk = chunk
        self._entries: dict[int, _Entry] = {}
        self._owed: set[tuple[str, str]] = set()
        self._queues: defaultdict[tuple[str, Priority], list[int]] = defaultdict(list)

    # --- what tests do and ask --------------------------------------------------------------------------------------------

    def owe(self, destination: str, title: str, priority: Priority = Priority.NORMAL, **fields: Any) -> int:
        """A signal was accepted; the number of its delivery."""
        return self.owe_signal(destination, Signal(title, **fields), priority)

    def owe_signal(self, destination: str, signal: Signal, priority: Priority) -> int:
        """The same for any signal."""
        number, now = len(self._entries) + 1, self._clock.steady()
        deadline = None if signal.expires is None else now + signal.expires
        self._entries[number] = _Entry(Delivery(number, signal, destination, priority, now, deadline, order=number))
        self._queues[destination, priority].append(number)
        self._owed.add((signal.id, destination))
        if destination in self.lanes:
            self.lanes[destination].wake(priority)
        return number

    def delivery(self, number: int) -> Delivery:
        """A delivery as it is on record."""
        return self._entries[number].delivery

    def state(self, number: int) -> State:
        """Where a delivery stands."""
        return self._entries[number].state

    def reason(self, number: int) -> str | None:
        """And why."""
        return self._entries[number].reason

    def titles(self, state: State, destination: str) -> list[str]:
        """What stands there, in order of acceptance."""
        return [
            entry.delivery.signal.title
            for entry in self._entries.values()
            if entry.state is state and entry.delivery.destination == destination
        ]

    def drop(self, number: int) -> None:
        """A person drops a delivery that waits."""
        self._entries[number].state = State.DROPPED

    def requeue(self, number: int) -> None:
        """A person puts a delivery back."""
        entry = self._entries[number]
        entry.state = State.QUEUED
        entry.delivery = msgspec.structs.replace(entry.delivery, first_try=None, unknown_count=0)
        self.lanes[entry.delivery.destination].rewind()

    # --- what a lane asks -------------------------------------------------------------------------------------------------

    async def feed(self, destination: str, priority: Priority, after: int, most: int) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        queue, found = self._queues[destination, priority], list[Delivery]()
        for place in range(bisect_right(queue, after), len(queue)):
            if len(found) == most:
                break
            entry = self._entries[queue[place]]
            if entry.state is State.QUEUED:
                found.append(entry.delivery)
        self.fed += [delivery.number for delivery in found]
        return found

    def gathering_seconds(self, destination: str) -> float:
        del destination
        return self.gathers

    async def begin(self, batch: Sequence[Delivery], asking: RequestStart) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        now = self._clock.steady()
        claimed = [self._claim(delivery, now) for delivery in batch if self._may_go(self._entry(delivery), now)]
        if claimed and asking.edits_at and (key := claimed[0].signal.key):
            also = [entry.delivery for entry in self._waiting(asking.destination, key) if self._may_go(entry, now)]
            claimed += [self._claim(delivery, now) for delivery in also]
            known, before = self.living.get((asking.destination, key, asking.edits_at), (LiveMessage(), None))
            claimed = build(key, asking.edits_at, known, before, claimed, editing=asking.editing)
        if claimed:
            self.asked.append(_Asked(asking))
        return claimed

    def _waiting(self, destination: str, key: str) -> list[_Entry]:
        mine = [entry for entry in self._entries.values() if entry.delivery.destination == destination]
        return [entry for entry in mine if entry.delivery.signal.key == key and entry.state is State.QUEUED]

    def _entry(self, delivery: Delivery) -> _Entry:
        return self._entries[delivery.number]

    def _may_go(self, entry: _Entry, now: float) -> bool:
        return entry.state is State.QUEUED and not expired(entry.delivery, now)

    def _claim(self, delivery: Delivery, now: float) -> Delivery:
        """What is on record, but for the company, which only its sender knows."""
        entry = self._entry(delivery)
        known = entry.delivery
        first_try = now if known.first_try is None else known.first_try
        entry.state = State.SENDING
        entry.delivery = msgspec.structs.replace(known, attempts=known.attempts + 1, first_try=first_try)
        return msgspec.structs.replace(entry.delivery, max_batch=delivery.max_batch, tried=now - known.skew)

    async def settle(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        memory: LaneState | None,
        scopes: Sequence[LimitState],
    ) -> list[Settlement]:
        await trio.lowlevel.checkpoint()
        now = self._clock.steady()
        found = [
            settle(delivery, outcome, now=now, retry=retry, jitter=self._jitter())
            for delivery, outcome in zip(batch, outcomes, strict=True)
        ]
        for delivery, settlement in zip(batch, found, strict=True):
            self._write(self._entry(delivery), settlement)
        self._keep_living(batch, found)
        destinations = {delivery.destination for delivery in batch}
        if all(is_unsent(outcome) for outcome in outcomes):
            self.asked = [
                each for each in self.asked if each.answered is not None or each.asking.destination not in destinations
            ]
        self._answer(destinations, now)
        self._keep(memory, scopes)
        self.settlements += found
        return found

    async def settle_and_begin(
        self,
        batch: Sequence[Delivery],
        outcomes: Sequence[Outcome],
        retry: Retry,
        memory: LaneState | None,
        scopes: Sequence[LimitState],
        *,
        following: Sequence[Delivery],
        asking: RequestStart,
    ) -> tuple[list[Settlement], list[Delivery]]:
        self.shared_commits += 1
        settlements = await self.settle(batch, outcomes, retry, memory, scopes)
        return settlements, await self.begin(following, asking)

    def _write(self, entry: _Entry, settlement: Settlement) -> None:
        entry.state, entry.reason = settlement.state, settlement.reason
        known = {
            "maybe_duplicate": settlement.maybe_duplicate,
            "unknown_count": settlement.unknown_count,
            "plain_format": settlement.plain_format,
        }
        entry.delivery = msgspec.structs.replace(entry.delivery, **known)
        if settlement.copy_to_fallback:
            self._hand_on(entry.delivery)

    def _keep_living(self, batch: Sequence[Delivery], settlements: Sequence[Settlement]) -> None:
        telling = batch[0].update
        if telling is None:
            return
        place = batch[0].destination, telling.key, telling.about
        if is_message_gone(settlements) and place in self.living:
            known, before = self.living[place]
            self.living[place] = msgspec.structs.replace(known, message=None), before
        known_now = after(batch, settlements)
        if known_now is not None:
            self.living[place] = known_now, telling.message

    def _answer(self, destinations: set[str], now: float) -> None:
        for each in self.asked:
            if each.answered is None and each.asking.destination in destinations:
                each.answered = now

    def _hand_on(self, delivery: Delivery, *fallbacks: str, hurried: bool = False) -> str | None:
        for name in fallbacks or self._ranked(delivery.destination):
            if (delivery.id, name) not in self._owed:
                copy = self._entries[self.owe_signal(name, delivery.signal, delivery.priority)]
                known = {
                    "deadline": delivery.deadline,
                    "maybe_duplicate": delivery.maybe_duplicate,
                    "order": delivery.order,
                }
                copy.delivery, copy.hurried = msgspec.structs.replace(copy.delivery, **known), int(hurried)
                return name
        return None

    def _ranked(self, destination: str) -> tuple[str, ...]:
        return ranked(chain(destination, self._fallbacks), self._fitness)

    def _fitness(self, destination: str) -> Fitness:
        lane = self.lanes.get(destination)
        return lane.fitness() if lane else Fitness.WORKING

    def _queued(self, destination: str) -> list[_Entry]:
        found = [self._entries[number] for priority in Priority for number in self._queues[destination, priority]]
        return [entry for entry in found if entry.state is State.QUEUED]

    def _takes(self, entry: _Entry, fallbacks: Sequence[str]) -> bool:
        return any((entry.delivery.id, name) not in self._owed for name in fallbacks)

    async def divert(self, destination: str, reason: str) -> bool:
        await trio.lowlevel.checkpoint()
        fallbacks = self._ranked(destination)
        if self._return_to_origin(destination, reason):
            return True
        if not fallbacks:
            return False
        enabled = [name for name in fallbacks if self._fitness(name) is not Fitness.DISABLED]
        waiting = [
            entry
            for entry in self._queued(destination)
            if self._takes(entry, enabled) or not self._takes(entry, fallbacks)
        ][: self._chunk]
        for entry in waiting:
            fallback = self._hand_on(entry.delivery, *enabled) if enabled else None
            entry.state = State.REROUTED if fallback else State.DEAD
            entry.reason = f"to {fallback}: {reason}" if fallback else f"{reason}; no fallback is left"
        return bool(waiting)

    async def reroute(self, destination: str, over: Collection[Priority], reason: str, *, hurried: bool) -> list[int]:
        await trio.lowlevel.checkpoint()
        working = [name for name in self._ranked(destination) if self._fitness(name) is Fitness.WORKING]
        waiting = [
            entry
            for entry in self._queued(destination)
            if (entry.delivery.priority in over or (hurried and entry.hurried == 1)) and self._takes(entry, working)
        ][: self._chunk]
        for entry in waiting:
            entry.state = State.REROUTED
            entry.reason = f"to {self._hand_on(entry.delivery, *working, hurried=True)}: {reason}"
        if hurried and not waiting:
            return self._return_to_origin(destination, reason)
        return [entry.delivery.number for entry in waiting]

    def _return_to_origin(self, destination: str, reason: str) -> list[int]:
        came_from = [name for name in self._fallbacks if destination in chain(name, self._fallbacks)]
        origins = {name for name in came_from if self._fitness(name) is Fitness.WORKING}
        came = [entry for entry in self._queued(destination) if entry.hurried == 1]
        return [entry.delivery.number for entry in came if self._return(entry, origins, reason)]

    def _return(self, entry: _Entry, origins: Collection[str], reason: str) -> bool:
        for old in self._entries.values():
            known = old.delivery
            left = old.state is State.REROUTED and old.hurried < RETURNED
            if left and known.id == entry.delivery.id and known.destination in origins:
                doubt = known.maybe_duplicate or entry.delivery.maybe_duplicate
                old.delivery = msgspec.structs.replace(known, maybe_duplicate=doubt, first_try=None, unknown_count=0)
                old.state, old.hurried, old.reason = State.QUEUED, RETURNED, f"back from {entry.delivery.destination}"
                entry.state, entry.reason = State.REROUTED, f"back to {known.destination}: {reason}"
                if known.destination in self.lanes:
                    self.lanes[known.destination].rewind()
                return True
        return False

    def notify_lanes(self) -> None:
        for lane in self.lanes.values():
            lane.recheck_fallbacks()

    async def load_lane(self, destination: str) -> LaneState:
        await trio.lowlevel.checkpoint()
        return self.memories.get(destination, LaneState(destination))

    async def load_limit(self, scope: str) -> LimitState:
        await trio.lowlevel.checkpoint()
        return self.scopes.get(scope, LimitState(scope))

    async def requests(self, channel: str, destination: str) -> list[RequestRecord]:
        await trio.lowlevel.checkpoint()
        mine = [each for each in self.asked if channel == each.asking.channel or destination == each.asking.destination]
        return sorted((each.request for each in mine), key=lambda request: inf if request.at is None else request.at)

    async def save(self, memory: LaneState | None, scopes: Sequence[LimitState]) -> None:
        await trio.lowlevel.checkpoint()
        self._keep(memory, scopes)

    def _keep(self, memory: LaneState | None, scopes: Sequence[LimitState]) -> None:
        if memory is not None:
            self.memories[memory.destination] = memory
        self.scopes.update({each.scope: each for each in scopes})
