"""Scopes as this host knows them: limits that several targets may share, each with requests of all hosts (see the package).

join      every 0.67 s: show that this host is there, count what others sent, report own requests to an engine that lacks them
take      ask for room for one request; without room the limiter waits until there may be some
settle    the request was answered, or did not leave
teach     report a learned limit to other hosts
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2s
from math import inf
from typing import Final, Protocol

import msgspec

from tocsind.clock import Clock
from tocsind.journal import Journal, LimitState, RequestStart, shared
from tocsind.policy.rate_limits import MARGIN, SLOWEST_WEBHOOK, ChannelLimit

from .engine import Engine, EngineAway, Question, Room, Window
from .identity import Identity
from .items import limit_in, packed_limit
from .targets import Targets

PAUSE_SECONDS: Final = 1.5  # after an outage: first every host reports what it sent, then requests leave
LONGEST_BORROW: Final = SLOWEST_WEBHOOK.per  # s: each host borrows for as long as its own webhook permits, at most this
ECHO_SECONDS: Final = 0.2  # limits whose instants differ by less are the same one, as hosts convert times differently


class TurnQueue(Protocol):
    """The part of a turn queue that a scope uses."""

    name: str
    limit: ChannelLimit


class TurnQueues(Protocol):
    """Where this host's limits are."""

    def turn_queue(self, destination: str) -> TurnQueue | None:
        """The turn queue of a destination; None while it has none."""

    def learn(self, limits: Collection[LimitState]) -> None:
        """Use the limits as another host learned them."""


class Scope:
    """One scope. `answered`: requests within the longest window that the engine knows or knew, on this host's steady clock."""

    def __init__(self, queue: TurnQueue) -> None:
        self.queue = queue
        self.key = f"scope-{blake2s(queue.name.encode(), digest_size=8).hexdigest()}"
        self.epoch = ""  # of the engine that knows this host's requests
        self.hosts = 1
        self.request = ""  # in flight
        self.answered: dict[str, float] = {}
        self.packed = b""  # the limit as the engine has it
        self.limit: LimitState | None = None  # the same on this host's clock
        self.owed: LimitState | None = None  # not taught to the engine yet

    def windows(self, now: float) -> list[Window]:
        """The windows in use: a little shorter than this host itself waits, so that its own requests find room."""
        return [
            Window(
                each.count,
                round((each.rate.per - MARGIN / 2) * 1000),
                each.count - each.reserved(now),
                round(LONGEST_BORROW * 1000),
            )
            for each in self.queue.limit.buckets
        ]

    @property
    def longest(self) -> float:
        """Seconds of the longest window."""
        return max(each.rate.per for each in self.queue.limit.buckets)


class Scopes:
    """The scopes by name. `attach` before the first use."""

    def __init__(self, engine: Engine, journal: Journal, targets: Targets, clock: Clock, identity: Identity) -> None:
        self._engine = engine
        self._journal = journal
        self._targets = targets
        self._clock = clock
        self._identity = identity
        self._queues: TurnQueues
        self._scopes: dict[str, Scope] = {}
        self._taken: dict[str, Scope] = {}  # by request
        self._resumes_at = -inf  # monotonic

    def attach(self, queues: TurnQueues) -> None:
        """The limits of this host exist now."""
        self._queues = queues

    def hosts(self, destination: str) -> int:
        """How many hosts were seen of late in the scope of a destination, this one included."""
        scope = self._of(destination)
        return scope.hosts if scope else 1

    def names(self, destinations: Iterable[str]) -> set[str]:
        """The scopes of these destinations."""
        return {scope.queue.name for each in destinations if (scope := self._of(each))}

    # --- requests -----------------------------------------------------------------------------------------------------

    async def take(self, asking: RequestStart, request: str) -> bool:
        """Whether the request may leave now. `settle` must follow in any case. Raises EngineAway."""
        scope = self._of(asking.destination)
        if scope is None:
            return True
        if self._clock.now() < self._resumes_at:
            scope.queue.limit.hold(self._resumes_at, expedited=True)
            return False
        scope.request, self._taken[request] = request, scope
        room = await self._ask(scope, takes=True, expedited=asking.expedited)
        now = self._clock.now()
        if room.wait:
            scope.queue.limit.hold(now + room.wait / 1000, expedited=asking.expedited)
        return not room.wait and scope.queue.limit.block_ends(now) <= now  # else another host was told to wait

    async def settle(self, request: str, answered: float | None) -> None:
        """The request ended: when it was answered (monotonic), or None when it did not leave.

        What the engine does not learn now it infers from the next `join`.
        """
        scope = self._taken.pop(request, None)
        if scope is not None:
            scope.request = ""
            ago = None if answered is None else int(max(0.0, self._clock.now() - answered) * 1000)
            with suppress(EngineAway):
                await self._engine.answered(scope.key, request, ago)

    async def teach(self, limits: Iterable[LimitState]) -> list[LimitState]:
        """Report learned limits to other hosts. Returns the limits that are no scopes."""
        others = []
        for each in limits:
            scope = self._scopes.get(each.scope)
            if scope is None:
                others.append(each)
            elif not is_echo(each, scope.limit):
                scope.owed = each
                with suppress(EngineAway):
                    await self._teach(scope)
        return others

    # --- tasks --------------------------------------------------------------------------------------------------------

    async def join(self, destinations: Iterable[str]) -> None:
        """Take part in the scopes of these destinations. Raises EngineAway."""
        scopes = {scope.key: scope for name in destinations if (scope := self._of(name))}
        for scope in scopes.values():
            await self._teach(scope)
            await self._ask(scope)

    def on_outage(self) -> None:
        """The engine was away, and may have lost its last second: report everything before the next request."""
        self._resumes_at = self._clock.now() + PAUSE_SECONDS
        for scope in self._scopes.values():
            scope.epoch = ""

    def _of(self, destination: str) -> Scope | None:
        """The scope of a destination; None when it has no limit there."""
        queue = self._queues.turn_queue(destination)
        if queue is None or not queue.limit.buckets:
            return None
        if queue.name not in self._scopes:
            self._scopes[queue.name] = Scope(queue)
        return self._scopes[queue.name]

    async def _ask(self, scope: Scope, *, takes: bool = False, expedited: bool = False) -> Room:
        question = Question(
            self._identity.name,
            scope.request,
            scope.windows(self._clock.now()),
            scope.epoch,
            takes,
            expedited,
            self._targets.is_alone,
        )
        room = await self._engine.ask(scope.key, question)
        scope.hosts = max(1, room.hosts)
        if room.epoch != scope.epoch:
            await self._recall(scope, but=scope.request if takes else "")
            scope.epoch = room.epoch
        self._count(scope, room)
        self._learn(scope, room.state)
        return room

    async def _recall(self, scope: Scope, but: str) -> None:
        """Report the requests that this host knows of, except one: its own, and those of others that the engine once listed."""
        steady = self._clock.steady()
        names = [name for name in self._targets.all_names() if self._of(name) is scope]
        own = await self._journal.run(shared.requests, scope.queue.name, names, steady - scope.longest)
        known: dict[str, float | None] = {**scope.answered}
        known |= {name_of(self._identity.name, number, expedited=expedited): at for number, at, expedited in own}
        ages = {
            name: None if at is None else int(max(0.0, steady - at) * 1000) for name, at in known.items() if name != but
        }
        if ages:
            await self._engine.recall(scope.key, ages)

    def _count(self, scope: Scope, room: Room) -> None:
        """Count the requests of other hosts in the limiter."""
        now, steady, known = self._clock.now(), self._clock.steady(), scope.answered
        ages = {name: max(0, room.now - at) / 1000 for name, at in room.requests}
        for name, age in ages.items():
            if name not in known and not name.startswith(f"{self._identity.name}/"):
                scope.queue.limit.count_foreign(now - age, expedited=name.endswith("/1"))
        kept = {name: at for name, at in known.items() if steady - at < scope.longest}  # an engine may forget
        scope.answered = kept | {name: steady - age for name, age in ages.items()}

    def _learn(self, scope: Scope, packed: bytes) -> None:
        if packed == scope.packed:
            return
        scope.packed, scope.limit = packed, limit_in(packed, scope.queue.name, self._targets.offset)
        if scope.limit is not None:
            self._queues.learn([scope.limit])

    async def _teach(self, scope: Scope) -> None:
        if scope.owed is not None:
            packed = packed_limit(scope.owed, self._targets.offset)
            await self._engine.teach(scope.key, packed)
            scope.packed, scope.limit, scope.owed = packed, scope.owed, None


def name_of(host: str, number: int, *, expedited: bool) -> str:
    """The name of a request over all hosts. `number`: in the journal of its host."""
    return f"{host}/{number}/{int(expedited)}"


def is_echo(learned: LimitState, known: LimitState | None) -> bool:
    """Whether a learned limit equals the one that the engine has: then it came from there."""
    return known is not None and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and abs(one - other) < ECHO_SECONDS)
        for one, other in zip(_values(learned), _values(known), strict=True)
    )


def _values(limit: LimitState) -> Sequence[object]:
    return msgspec.structs.astuple(limit)
