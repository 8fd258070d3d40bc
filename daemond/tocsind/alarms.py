"""Alarms about ourselves, told by another road: what a destination cannot tell because it is the one that is gone.

A trouble is a fact (`troubles` knows which), or a state that lasts: a breaker that stays open, a queue that grows old. It raises a
signal of its own, from `tocsin`, for the nearest destination that can still be reached: the fallbacks of the one concerned, or where
the routes lead, then any other. How often is policy's: once while it lasts, once in ten minutes at most.

No alarm raises an alarm. It never travels the road that it is about; where nothing waits but alarms of ours, their waiting is no
trouble; and that one cannot be delivered is no fact that asks for another. What an alarm finds out about its road (that it is gone,
too) is told on the next, and when none is left there is nobody to tell: the log and `status` say it in any case.

That a destination is disabled outlives us, and so must its alarm, though we may be killed between the two. So it is raised again at each
start, under an id that is made of what happened: the journal takes it once.

An alarm may use the disk that is kept in reserve: that the disk is full is what it may have to tell. When not even that is left, it is sent
straight from memory (`Lane.post_unrecorded`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2s

import trio

from tocsin.ids import id_of, new_id
from tocsin.signals import Signal

from .clock import Clock
from .dispatch import Dispatch
from .errors import StorageFull
from .events import Alarmed, Emit, Unheard
from .journal import Count, memory, reading
from .lane import LONG_BLOCK, Lane
from .policy.alarms import Told
from .policy.delivery import OPEN, Delivery, Priority, State
from .policy.routes import by_rules, chain
from .reception import Peer
from .sources import OURS
from .troubles import Noticed, Trouble, disabled, failing, late

ROUND = 15.0  # seconds between two looks at what lasts: people's patience counts in minutes
_FAILING = frozenset({"throttled", "probing"})


class Alarms:
    """Raises what was noticed, and what lasts; runs until cancelled."""

    def __init__(self, noticed: Noticed, dispatch: Dispatch, lanes: Iterable[Lane], clock: Clock, emit: Emit) -> None:
        self._noticed = noticed
        self._dispatch = dispatch
        self._lanes = lanes
        self._clock = clock
        self._emit = emit
        self._told = Told()
        self._unheard: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """What an earlier run may have been killed over comes first."""
        for lane in self._lanes:
            if lane.disabled is not None and lane.options.disabled is None:
                self._noticed.note(disabled(lane.name, lane.disabled))
        while True:
            something = self._noticed.something
            await self.tell_noticed()
            await self.tell_lasting()
            with trio.move_on_after(ROUND):
                await something.wait()

    async def tell_noticed(self) -> None:
        """What happened. What cannot be told yet stays noticed; what was told lately is dropped."""
        for trouble in list(self._noticed.pending.values()):
            old = not self._told.is_news(trouble.name, self._clock.now())
            if old or await self._raise(trouble):
                self._noticed.done(trouble)

    async def tell_lasting(self) -> None:
        """What has lasted for longer than patience has."""
        # an idle daemon is woken for one look, not for two: counts matter only beside alarms of ours
        counts = await self._dispatch.journal.run(reading.counts) if self._noticed.waiting() else []
        ages = await self._dispatch.journal.run(reading.ages)
        for trouble, lasted, patience in list(self._lasting(counts, ages)):
            if lasted == 0.0:
                self._told.over(trouble.name)
            elif self._told.is_news(trouble.name, self._clock.now(), lasted=lasted, patience=patience):
                await self._raise(trouble, lasts=True)

    def _lasting(self, counts: Iterable[Count], ages: reading.Ages) -> Iterator[tuple[Trouble, float, float | None]]:
        """Each, for how many seconds (0: it is over), and what patience there is."""
        options, ours = self._dispatch.config.alarms, self._noticed.waiting()
        for lane in self._lanes:
            name = lane.name
            only_ours = 0 < _waiting(name, counts) <= ours[name]
            fails, waits = self._failing_for(lane), 0.0 if lane.disabled else self._waits_for(name, ages)
            yield failing(name, lane.condition().reason, fails), 0.0 if only_ours else fails, options.breaker
            yield late(name, waits), 0.0 if only_ours else waits, options.age

    def _failing_for(self, lane: Lane) -> float:
        """Seconds since its breaker was first seen open; 0 when it is not."""
        if lane.condition().word not in _FAILING:
            self._noticed.failing.pop(lane.name, None)
            return 0.0
        return self._clock.now() - self._noticed.failing.setdefault(lane.name, self._clock.now())

    def _waits_for(self, name: str, ages: reading.Ages) -> float:
        accepted = reading.oldest_of(name, ages)
        return 0.0 if accepted is None else max(0.0, self._clock.steady() - accepted)

    async def _raise(self, trouble: Trouble, *, lasts: bool = False) -> bool:
        """Hand the alarm over; False when that is not possible now."""
        road = self._road(trouble)
        if road is None:
            if trouble.name not in self._unheard:
                self._unheard.add(trouble.name)
                self._emit(Unheard(trouble.kind, trouble.about))
            return False
        signal = Signal(
            trouble.title,
            body=trouble.body,
            priority=trouble.priority,
            source=OURS,
            to=road,
            id=await self._id(trouble),
        )
        try:
            (receipt,) = await self._dispatch.accept([signal], Peer(os.getuid(), os.getgid(), os.getpid()), ours=True)
        except StorageFull:  # not even the reserve is left
            return await self._post_unrecorded(trouble, signal, lasts=lasts)
        self._told.told(trouble.name, self._clock.now(), lasts=lasts)
        self._unheard.discard(trouble.name)
        if receipt.state == "stored":
            self._noticed.raised(signal.id, road)
            self._emit(Alarmed(signal.id, trouble.kind, trouble.about, road))
        return True

    async def _post_unrecorded(self, trouble: Trouble, signal: Signal, *, lasts: bool) -> bool:
        """The last alarm of a full disk needs no disk: the first destination that takes it now has it, and nothing is written down."""
        for name in dict.fromkeys(self._roads(trouble)):
            delivery = Delivery(0, signal, name, Priority.HIGH, self._clock.wall())
            lane = next((lane for lane in self._lanes if lane.name == name != trouble.lost), None)
            if lane and await lane.post_unrecorded(delivery):
                self._told.told(trouble.name, self._clock.now(), lasts=lasts)
                self._emit(Alarmed(signal.id, trouble.kind, trouble.about, name))
                return True
        return False

    def _road(self, trouble: Trouble) -> str | None:
        """The nearest destination that can be reached; None when there is none."""
        open_roads = {lane.name for lane in self._lanes if lane.disabled is None and lane.blocked_for() < LONG_BLOCK}
        return next((name for name in self._roads(trouble) if name in open_roads and name != trouble.lost), None)

    def _roads(self, trouble: Trouble) -> Iterator[str]:
        """Nearest first."""
        config = self._dispatch.config
        if trouble.lost is not None:
            yield from chain(trouble.lost, config.fallbacks)
        else:
            for name in by_rules(Signal(trouble.title, source=OURS), Priority.HIGH, config.routes):
                yield name
                yield from chain(name, config.fallbacks)
        yield from config.destinations

    async def _id(self, trouble: Trouble) -> str:
        """A fresh one; but always the same for what is told once, and for a destination that is disabled until it asks once more: it has no
        request after that.
        """
        if trouble.once:
            return id_of(0, blake2s(f"{trouble.name} {trouble.body}".encode(), digest_size=10).digest())
        if trouble.kind != "disabled":
            return new_id()
        last = await self._dispatch.journal.run(memory.last_request, trouble.about)
        options = self._dispatch.config.destinations.get(trouble.about)
        told = f"{trouble.about} {options and options.fingerprint} {trouble.body} {last}"
        return id_of(0, blake2s(told.encode(), digest_size=10).digest())


def _waiting(destination: str, counts: Iterable[Count]) -> int:
    return sum(each.n for each in counts if each.destination == destination and State(each.state) in OPEN)
