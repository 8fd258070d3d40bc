"""Hands deliveries over to the engine and fetches those of other hosts, target by target; records how own ones ended elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from tocsind.clock import Clock
from tocsind.events import Ambiguous, Dead, Emit, Expired, ItemQuarantined, Sent
from tocsind.journal import FIRST, Journal, shared, shared_arrivals, shared_news
from tocsind.policy.delivery import Priority

from .engine import Done, EngineAway, Stored
from .items import OtherVersion, Unreadable, arriving, ended_of, item_of
from .store import SharedStore
from .targets import Target

FULL_SCAN_SECONDS: Final = 10.0  # deliveries that were queued again have lower numbers than the last one read
CHUNK: Final = 100
SCAN_SECONDS: Final = 0.5  # between two searches for ended deliveries; at least SCAN_SHARE times as long as one takes
SCAN_SHARE: Final = 20
MAX_STRANGE: Final = 10_000  # items that are counted, not more
MAX_SHOWN: Final = 200  # code points of foreign data in the engine


class Exchange:
    """The steps for one target. They raise EngineAway, StorageFull; each may be repeated."""

    def __init__(self, journal: Journal, store: SharedStore, clock: Clock, emit: Emit) -> None:
        self._journal = journal
        self.store = store
        self._engine = store.engine
        self._targets = store.targets
        self._clock = clock
        self._emit = emit
        self.handed: dict[tuple[str, Priority], int] = {}  # by destination: the last number that was handed over
        self._scan_at = 0.0
        self.strange: set[str] = set()  # items that this host cannot send
        self.quarantined = 0

    async def step(self, target: Target) -> None:
        """Report ended deliveries, hand over, record news, and fetch where this host sends; each step only if it may have work."""
        if not target.epoch:
            return
        if target.is_due:
            target.is_due = False
            await self._report(target)
            await self.hand_over(target, digests=not target.holds(self._clock.now()))
        if target.is_stale:
            await self.fetch(target, sends=target.holds(self._clock.now()))

    async def _report(self, target: Target) -> None:
        """Report deliveries that ended without an attempt. The search reads all open ones, so it takes a limited share of the time."""
        began = self._clock.now()
        if target.owed or began >= target.scan_at:
            await self.store.reports.send(target)
            ended = self._clock.now()
            target.scan_at = ended + max(SCAN_SECONDS, SCAN_SHARE * (ended - began))

    async def fetch(self, target: Target, *, sends: bool) -> None:
        """Record news; where this host `sends`, queue the deliveries of other hosts, URGENT first."""
        target.is_stale = False  # later changes set it again
        is_all = False
        while not is_all:
            places, start = target.places if sends else None, self.store.identity.start
            seen = await self._engine.look(target.name, self.store.host, places, CHUNK, start)
            if seen.news:
                await self._record(target, seen.news)
            if seen.items:
                await self._take_in(target, seen.items)
            target.places |= {priority: stored.place for priority, stored in seen.items}
            is_all = seen.is_all

    async def _record(self, target: Target, news: Sequence[Done]) -> None:
        """Record ended deliveries. News of a delivery with an open attempt here waits for the end of that attempt."""
        readable = [found for each in news if (found := self._read(target, each))]
        ended, open_ = [end for end, _ in readable], set[str]()
        if ended:
            open_ |= set(await self._journal.run(shared_news.under_way, ended, self._clock.steady()))
        target.is_stale |= bool(open_)
        reasons = {
            end.id: f"{end.state} by {host}" + (f": {end.reason}" if end.reason else "") for end, host in readable
        }
        closed = [end for end in ended if end.id not in open_]
        after = {name: self.store.after(name) for name in self._targets.names(target)}
        settled, moved = await self._journal.run(shared_news.record, closed, reasons, after, self._clock.steady())
        await self._engine.forget(target.name, self.store.host, [each.id for each in news if each.id not in open_])
        for one in settled:
            self._announce(one)
            self.store.waiters.release(one.signal)
        self.store.announce_moves(moved)
        if settled:
            self.store.wakeups.notify_schedule()

    def _read(self, target: Target, news: Done) -> tuple[shared.Ended, str] | None:
        try:
            return ended_of(news, self._targets.offset)
        except Unreadable as unreadable:
            self._put_aside(target, news.id, unreadable)
            return None

    def _announce(self, ended: shared_news.Settled) -> None:
        """Emit the end of a delivery at another host: it counts at the host that accepted it."""
        id_, destination, sender = ended.signal, ended.destination, ended.sender
        match ended.state:
            case "sent":
                self._emit(Sent(id_, destination, ended.attempts, ended.age, None, ended.reason, by=sender))
            case "unknown":
                self._emit(Ambiguous(id_, destination, ended.reason))
            case "dead":
                self._emit(Dead(id_, destination, ended.reason))
            case "expired":
                self._emit(Expired(id_, destination))

    async def hand_over(self, target: Target, *, digests: bool) -> None:
        """Hand over the deliveries of this host that the engine does not have; with `digests` its digests as well."""
        if self._clock.now() >= self._scan_at:
            self.handed.clear()
            self._scan_at = self._clock.now() + FULL_SCAN_SECONDS
        for name in self._targets.names(target):
            more = True
            while more:
                async with target.moving:
                    more = await self._hand_over_some(target, name, digests=digests)

    async def _hand_over_some(self, target: Target, name: str, *, digests: bool) -> bool:
        """Whether there may be more."""
        far, epoch, here = self._targets.far_of(name), target.epoch, self.store.here(target, name)
        after = {priority: self.handed.get((name, priority), FIRST) for priority in Priority}
        read = partial(shared.leaving, digests=digests)
        leaving = await self._journal.run(read, here, after, CHUNK)
        if any(each.delivery.is_digest for each in leaving) and await self._journal.run(
            shared.return_digested, here, self._clock.steady()
        ):
            leaving = await self._journal.run(read, here, after, CHUNK)
        if leaving:
            items = [item_of(each, self.store.host, far, self._targets.offset, epoch) for each in leaving]
            ids = {each.delivery.number: item.id for each, item in zip(leaving, items, strict=True)}
            note = partial(shared.handed_over, here=here, handed=ids, now=self._clock.steady(), epoch=epoch)
            try:
                await self._engine.offer(target.name, self.store.host, items)
            except EngineAway:
                await self._journal.run(partial(note, surely=False))
                raise
            await self._journal.run(partial(note, surely=True))
            self.handed |= {(name, each.delivery.priority): each.delivery.number for each in leaving}
            target.is_stale = True
        return len(leaving) == CHUNK

    async def _take_in(self, target: Target, seen: Sequence[tuple[int, Stored]]) -> None:
        found: dict[str, list[shared_arrivals.Arriving]] = {}
        destinations = self._targets.destinations(target)
        for priority, each in seen:
            try:
                far, item = arriving(each, priority, self._targets.offset)
            except OtherVersion:
                self._set_apart(each.id)
                continue
            except Unreadable as unreadable:
                await self._engine.quarantine(target.name, priority, each)
                self._put_aside(target, each.id, unreadable)
                continue
            name = self._named(item, destinations.get(far), target)
            if name is None:
                self._set_apart(each.id)
            else:
                found.setdefault(name, []).append(item)
        for name, items in found.items():
            take_in = partial(shared_arrivals.take_in, epoch=target.epoch, sent_alone=target.sends_alone)
            new, again = await self._journal.run(take_in, self.store.here(target, name), items, self._clock.steady())
            self.store.wakeups.wake(name, new)
            if again or any(each.attempted or each.lapsed for each in items):
                self.store.wakeups.refresh(name)
            self.store.wakeups.notify_deadline()

    def _set_apart(self, item: str) -> None:
        """Another host may be able to send it."""
        if len(self.strange) < MAX_STRANGE:
            self.strange.add(item)

    def _put_aside(self, target: Target, item: str, reason: Unreadable) -> None:
        self.quarantined += 1
        name = next(iter(self._targets.names(target)), target.name)
        self._emit(ItemQuarantined(name, item[:MAX_SHOWN], str(reason)[:MAX_SHOWN]))

    def _named(self, item: shared_arrivals.Arriving, name: str | None, target: Target) -> str | None:
        """The destination here. One of this host's own items keeps its own: two destinations may have one far end."""
        own = item.id.split("/")[2]
        return own if item.origin == self.store.host and own in self._targets.names(target) else name
