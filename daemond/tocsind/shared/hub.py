"""The tasks by which this host takes part: it tends the leases, hands its deliveries over, and fetches what it is to send.

tend      every 0.67 s, each target: renew the lease, or take it when it is free
exchange  when something changed, and every second: report what has ended, record news, hand over, fetch
listen    the engine's wake-ups
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final, Protocol

import trio

from tocsind.clock import Clock
from tocsind.errors import StorageFull
from tocsind.events import (
    Emit,
    EngineForgot,
    EngineFound,
    EngineLost,
    EngineMissing,
    EngineUnsafe,
    ItemQuarantined,
    LeaseLost,
    LeaseTaken,
    Sent,
)
from tocsind.journal import FIRST, Journal, LaneState, LimitState, RequestRecord, limiter_state, shared
from tocsind.policy.delivery import Priority

from .engine import RENEW_SECONDS, EngineAway, Stored
from .items import LAST_SENDER, OtherVersion, Unreadable, arriving, ended_of, item_of, lane_in, limits_in, stories_in
from .store import ALONE_AFTER, SharedStore
from .targets import Target

POLL_SECONDS: Final = 1.0
GAP_SECONDS: Final = 0.02  # between two exchanges: what comes together is handed over together
FULL_SCAN_SECONDS: Final = 10.0  # deliveries that were queued again lie before what was read
RETRY_SECONDS: Final = 0.5
REJOIN_SECONDS: Final = 1.5  # after an outage: first every host reports what it sent alone, then leases are taken
RELEASE_SECONDS: Final = 10.0  # at the end, for requests in flight
ALARM_SECONDS: Final = 60.0
CHUNK: Final = 100


class Lanes(Protocol):
    """What the hub needs of the lanes."""

    def take_over(
        self,
        name: str,
        saved: LaneState | None,
        limits: Collection[LimitState],
        requests: Collection[tuple[float, bool]],
    ) -> None:
        """Let a lane continue from what another host learned."""

    def share_limits(self, name: str, hosts: int) -> None:
        """Let a lane send at the share of one of so many hosts."""


class Hub:
    """Runs until cancelled; then gives the leases back."""

    def __init__(
        self, journal: Journal, store: SharedStore, lanes: Lanes, clock: Clock, emit: Emit, *, name: str
    ) -> None:
        self._journal = journal
        self._store = store
        self._engine = store.engine
        self._targets = store.targets
        self._lanes = lanes
        self._clock = clock
        self._emit = emit
        self._name = name
        self._host = store.host
        self._problem: str | None = "it has not answered yet"
        self._complaints: list[str] = []
        self._rejoins_at = 0.0  # monotonic
        self._read: dict[tuple[str, Priority], int] = {}  # by destination: the last number that was handed over
        self._scan_at = 0.0
        self._counts: list[tuple[str, bool, int]] = []
        self._strange: set[str] = set()  # items that this host cannot send
        self._has_alarmed = False
        self._has_hinted = False  # lanes know that they send alone
        self._sends_alone_since = 0.0

    async def run(self) -> None:
        """Take part."""
        await self._journal.run(shared.forget)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._repeat, self._tend_all, RENEW_SECONDS)
                nursery.start_soon(self._exchange)
                nursery.start_soon(self._listen)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(RELEASE_SECONDS):
                await self._leave()

    async def _repeat(self, step: Callable[[], Any], every: float) -> None:
        while True:
            began = self._clock.now()
            try:
                await step()
            except EngineAway as away:
                self._lost(str(away))
                await trio.sleep(RETRY_SECONDS)
            await trio.sleep_until(began + every)

    async def _exchange(self) -> None:
        while True:
            changed = self._store.changed
            try:
                for target in self._targets:
                    await self._exchange_one(target)
                self._counts = await self._journal.run(shared.counts, self._host)
            except EngineAway as away:
                self._lost(str(away))
                await trio.sleep(RETRY_SECONDS)
            except StorageFull:
                await trio.sleep(RETRY_SECONDS)
            await trio.sleep(GAP_SECONDS)
            with trio.move_on_after(POLL_SECONDS):
                await changed.wait()

    async def _listen(self) -> None:
        while True:
            try:
                await self._engine.wait([target.name for target in self._targets])
                self._store.wake()
            except EngineAway:
                await trio.sleep(RETRY_SECONDS)

    async def _leave(self) -> None:
        """Give the leases back, when no request is in flight any more."""
        with suppress(EngineAway):
            for target in self._targets:
                while target.requests:  # noqa: ASYNC110 - the lanes end by themselves, within their deadlines
                    await trio.sleep(0.02)
                if target.holds(self._clock.now()):
                    await self._store.report_all(target)
                    target.lose()
                    await self._engine.release(target.name, target.token)
        await self._engine.aclose()

    # --- leases -----------------------------------------------------------------------------------------------------------

    async def _tend_all(self) -> None:
        try:
            for target in self._targets:
                await self._tend(target)
        finally:
            self._check_outage()
        await self._found()

    async def _tend(self, target: Target) -> None:
        asked, before = self._clock.now(), target.holder
        had = target.ready
        tended = await self._engine.tend(target.name, self._host, token=target.token, wants=asked >= self._rejoins_at)
        self._targets.offset = tended.now / 1000 - self._clock.steady()
        await self._compare_epochs(target, tended.epoch)
        if target.on_tended(tended, self._host, asked):
            await self._take_over(target, before)
            target.is_behind = False
        elif tended.holder != self._host and (had or target.is_left or (tended.holder and tended.holder != before)):
            await self._give_back(target)

    async def _take_over(self, target: Target, before: str) -> None:
        """Fetch what is not done, and what earlier holders learned; then the lanes may send."""
        target.places.clear()
        self._strange.clear()
        learned = await self._engine.learned(target.name)
        is_behind = target.is_behind and learned.state.get(LAST_SENDER) != self._host.encode()
        await self._fetch(target)
        offset, steady, now = self._targets.offset, self._clock.steady(), self._clock.now()
        requests = []
        for name, at in learned.requests:
            host, _, rest = name.partition("/")
            if host != self._host and name not in target.known:
                target.known.add(name)
                answered = min(at / 1000 - offset, steady)
                target.learned.append(RequestRecord(answered, rest.endswith("/1"), ""))
                requests.append((now - (steady - answered), rest.endswith("/1")))
        target.ready = True
        limits = limits_in(learned.state, offset) if is_behind else []
        names = self._targets.names(target)
        for name in names:
            far = self._targets.options(name).fingerprint
            saved = lane_in(learned.state, far, name, offset) if is_behind else None
            if is_behind:
                for key, story in stories_in(learned.state, far).items():
                    await self._journal.run(shared.adopt_story, name, key, story)
            with suppress(KeyError):  # the lane has not started
                self._lanes.take_over(name, saved, limits, requests if name == names[0] else ())
            self._emit(LeaseTaken(name, before))

    async def _give_back(self, target: Target) -> None:
        target.lose()
        target.is_left = False
        for name in self._targets.names(target):
            returned = await self._journal.run(shared.return_foreign, self._here(target, name), self._clock.steady())
            self._store.wakeups.refresh(name)
            self._emit(LeaseLost(name, target.holder, returned))

    async def _compare_epochs(self, target: Target, epoch: str) -> None:
        """After the engine has lost its memory: hand everything over again, and report requests to the next holder."""
        if target.epoch and target.epoch != epoch:
            await self._journal.run(shared.offer_again, self._host, target.name)
            self._read.clear()
            target.places.clear()
            target.known.clear()
            for name in self._targets.names(target):
                await self._report(target, name)
                self._emit(EngineForgot(name))
        target.epoch = epoch

    async def _report(self, target: Target, destination: str) -> None:
        known = await self._journal.run(limiter_state.requests, "", destination)
        offset = self._targets.offset
        requests = {
            f"{self._host}/{number}/{int(each.expedited)}": int((each.at + offset) * 1000)
            for number, each in enumerate(known)
            if each.at is not None
        }
        await self._engine.report(target.name, requests)

    # --- deliveries -------------------------------------------------------------------------------------------------------

    async def _exchange_one(self, target: Target) -> None:
        await self._store.report_all(target)
        await self._record_news(target)
        await self._hand_over(target)
        if target.holds(self._clock.now()):
            await self._fetch(target)

    async def _record_news(self, target: Target) -> None:
        while news := await self._engine.news(target.name, self._host, CHUNK):
            ended, reasons = [], {}
            for each in news:
                try:
                    end, host = ended_of(each)
                except Unreadable as unreadable:
                    self._emit(ItemQuarantined(target.name, each.id, str(unreadable)))
                    continue
                ended.append(end)
                by = f"{end.state} by {host}"
                reasons[end.id] = f"{by}: {end.reason}" if end.reason else by
            settled = await self._journal.run(shared.settle, ended, reasons, self._clock.steady())
            await self._engine.forget(target.name, self._host, [each.id for each in news])
            for one in settled:
                if one.state == "sent":
                    self._emit(Sent(one.signal, one.destination, one.attempts, one.age, None, "sent by another host"))
                self._store.waiters.release(one.signal)

    async def _hand_over(self, target: Target) -> None:
        if self._clock.now() >= self._scan_at:
            self._read.clear()
            self._scan_at = self._clock.now() + FULL_SCAN_SECONDS
        for name in self._targets.names(target):
            for priority in Priority:
                await self._hand_over_queue(target, name, priority)

    async def _hand_over_queue(self, target: Target, name: str, priority: Priority) -> None:
        far = self._targets.options(name).fingerprint
        read = partial(shared.leaving, digests=not target.holds(self._clock.now()))
        while leaving := await self._journal.run(
            read, self._here(target, name), priority, self._read.get((name, priority), FIRST), CHUNK
        ):
            items = [item_of(each, self._host, far, self._targets.offset) for each in leaving]
            await self._engine.offer(target.name, self._host, items)
            numbers = [each.delivery.number for each in leaving]
            handed = dict(zip(numbers, (item.id for item in items), strict=True))
            await self._journal.run(shared.handed_over, self._here(target, name), handed, self._clock.steady())
            self._read[name, priority] = numbers[-1]

    async def _fetch(self, target: Target) -> None:
        """Take in what other hosts handed over, URGENT first."""
        for priority in Priority:
            while stored := await self._engine.read(target.name, priority, target.places.get(priority, ""), CHUNK):
                await self._take_in(target, priority, stored)
                target.places[priority] = stored[-1].place

    async def _take_in(self, target: Target, priority: Priority, stored: Sequence[Stored]) -> None:
        found: dict[str, list[shared.Arriving]] = {}
        destinations = self._targets.destinations(target)
        for each in stored:
            try:
                far, item = arriving(each, priority, self._targets.offset)
            except OtherVersion:
                self._strange.add(each.id)
                continue
            except Unreadable as unreadable:
                await self._engine.quarantine(target.name, priority, each)
                self._emit(ItemQuarantined(target.name, each.id, str(unreadable)))
                continue
            name = self._named(item, destinations.get(far), target)
            if name is None:
                self._strange.add(each.id)
            else:
                found.setdefault(name, []).append(item)
        for name, items in found.items():
            new, again = await self._journal.run(shared.take_in, self._here(target, name), items, self._clock.steady())
            self._store.wakeups.wake(name, new)
            if again or any(each.attempted for each in items):
                self._store.wakeups.refresh(name)
            self._store.wakeups.notify_deadline()

    def _named(self, item: shared.Arriving, name: str | None, target: Target) -> str | None:
        """The destination here. One of this host's own items keeps its own: two destinations may have one far end."""
        own = item.id.rpartition("/")[2]
        return own if item.origin == self._host and own in self._targets.names(target) else name

    def _here(self, target: Target, destination: str) -> shared.Here:
        return shared.Here(self._host, target.name, destination)

    # --- outages ----------------------------------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if self._targets.away_since is None or self._problem == "it has not answered yet":
            self._emit(EngineLost(reason, self._then()))
        if self._targets.away_since is None:
            self._targets.away_since = self._clock.now()
        self._problem = reason

    def _then(self) -> str:
        if self._targets.degrades:
            return "URGENT and HIGH of this host are sent at its share of the limits, the rest waits"
        return "what it accepts waits"

    async def _found(self) -> None:
        if self._targets.away_since is None:
            return
        self._targets.away_since, self._problem, self._has_alarmed = None, None, False
        for target in self._targets:  # it may have lost its last second
            await self._journal.run(shared.offer_again, self._host, target.name)
        self._read.clear()
        if self._has_hinted:
            self._rejoins_at = self._clock.now() + REJOIN_SECONDS
        self._share_limits(alone=False)
        self._complaints = await self._engine.complaints()
        self._emit(EngineFound(self._name))
        for complaint in self._complaints:
            self._emit(EngineUnsafe(complaint))
        self._store.wake()

    def _check_outage(self) -> None:
        """Let the lanes know when they send alone, and again when what the engine has may be sent."""
        now = self._clock.now()
        if not self._targets.is_away(now):
            return
        self._raise_alarm(now)
        if not self._has_hinted:
            self._sends_alone_since, self._rejoins_at = now, inf
            self._share_limits(alone=True)
        elif now - self._sends_alone_since > ALONE_AFTER:
            self._sends_alone_since = now
            for target in self._targets:
                for name in self._targets.names(target):
                    self._store.wakeups.refresh(name)

    def _raise_alarm(self, now: float) -> None:
        seconds = now - (self._targets.away_since or now)
        if seconds >= ALARM_SECONDS and not self._has_alarmed:
            self._has_alarmed = True
            self._emit(EngineMissing(self._name, self._problem or "", self._then(), seconds))

    def _share_limits(self, *, alone: bool) -> None:
        if alone == self._has_hinted:
            return
        self._has_hinted = alone
        for target in self._targets:
            target.ready = target.ready and not alone
            for name in self._targets.names(target):
                with suppress(KeyError):
                    self._lanes.share_limits(name, target.hosts if alone else 1)

    # --- for observers ----------------------------------------------------------------------------------------------------

    def view(self) -> tuple[dict[str, Any], list[str]]:
        """The part `shared` of the status, and its problems."""
        now = self._clock.now()
        is_away = self._targets.is_away(now)
        counts, away = {(target, own): n for target, own, n in self._counts}, self._targets.away_since
        lanes = [
            {
                "destinations": list(self._targets.names(target)),
                "holder": None if is_away else target.holder or None,
                "here": target.holds(now),
                "hosts": target.hosts,
                "waiting": counts.get((target.name, True), 0),
                "taken": counts.get((target.name, False), 0),
            }
            for target in self._targets
        ]
        problems = list(self._complaints)
        if is_away:
            problems.append(f"the engine is away: {self._problem}; {self._then()}")
        if self._strange:
            n = len(self._strange)
            problems.append(f"other hosts handed over {n} deliveries that this host has no destination for")
        return {
            "host": self._host,
            "engine": self._name,
            "away_seconds": None if away is None else now - away,
            "reason": self._problem,
            "complaints": self._complaints,
            "lanes": lanes,
        }, problems
