"""The tasks by which this host takes part: it tends the leases, hands its deliveries over, and fetches those that it is to send.

tend      every 0.67 s, each target: renew the lease, or take it when it is free
exchange  when something changed, and every second: report what has ended, record news, hand over, fetch
listen    the engine's wake-ups
tell      every 3 s: a note of this host, for the others (presence); every 30 s: what is wrong with the engine's settings
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from math import inf
from typing import Any, Final

import trio

from tocsind.clock import Clock
from tocsind.core.hosts import Hosts
from tocsind.core.operator import Operator
from tocsind.errors import StorageFull
from tocsind.events import (
    Emit,
    EngineFound,
    EngineLost,
    EngineMissing,
    EngineStillLost,
    EngineUnsafe,
    WakeupsRefused,
)
from tocsind.journal import Journal, epochs, shared

from .engine import RENEW_SECONDS, Cause, EngineAway
from .exchange import Exchange
from .leases import Lanes, Leases
from .leftovers import Leftovers
from .naming import Naming
from .presence import CLAIM_SECONDS, NOTE_SECONDS, Presence
from .store import SharedStore
from .view import EngineState, View

POLL_SECONDS: Final = 1.0
GAP_SECONDS: Final = 0.02  # between two exchanges, so that deliveries of one moment are handed over together
RETRY_SECONDS: Final = 0.5
REJOIN_SECONDS: Final = 1.5  # after an outage: first every host reports what it sent alone, then leases are taken
RELEASE_SECONDS: Final = 10.0  # at the end, for requests in flight
GOODBYE_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 2.0  # while the engine is away: between two searches for deliveries that may be sent now
ALARM_SECONDS: Final = 60.0
SETTINGS_SECONDS: Final = 30.0  # between two looks at the engine's settings
COPIED_SECONDS: Final = 3600.0  # that a status names a copied state folder as a problem


class Hub:
    """Runs until cancelled; then gives the leases back."""

    def __init__(
        self,
        journal: Journal,
        store: SharedStore,
        lanes: Lanes,
        clock: Clock,
        emit: Emit,
        *,
        name: str,
        hosts: Hosts,
        operator: Operator,
    ) -> None:
        self._journal = journal
        self._store = store
        self._engine = store.engine
        self._targets = store.targets
        self._lanes = lanes
        self._exchange = Exchange(journal, store, clock, emit)
        self._leases = Leases(journal, self._exchange, lanes, clock, emit)
        self._clock = clock
        self._emit = emit
        self._name = name
        self._hosts = hosts
        self._identity = store.identity
        store.scopes.attach(lanes)
        operator.host = store.host
        self._causes: set[Cause] = set()  # that were logged since the engine could be used last
        self._deaf: EngineAway | None = None  # why it announces no news to this host
        self._tends_now = trio.Event()  # replaced each time it is set
        self._complaints: list[str] = []
        self._settings_at = -inf  # monotonic: when the engine's settings are read again
        self._rejoins_at = 0.0  # monotonic
        self._leftovers = Leftovers(journal, self._exchange, clock, operator.requeue_orphans)
        self._clears_at = -inf  # monotonic
        self._listens_to: list[str] = []
        self._listening = trio.CancelScope()
        self._poll_at = 0.0  # monotonic
        self._has_alarmed = False
        self._has_hinted = False  # lanes know that they send alone
        self._looked_at = -inf  # monotonic
        presence = Presence(self._engine, self._identity, clock, emit)
        self.view = View(self._state, presence, self._targets, journal, clock, identity=self._identity)
        self._naming = Naming(journal, self._exchange, self._leases, clock, emit, operator=operator)
        self._has_noted = False  # the engine has seen this start

    async def run(self) -> None:
        """Take part."""
        await self._journal.run(shared.forget)
        self._targets.is_alone = not await self._journal.run(shared.has_met)
        self._note_others()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._repeat, self._tend_all, RENEW_SECONDS, lambda: self._tends_now)
                nursery.start_soon(self._exchange_all)
                nursery.start_soon(self._listen)
                nursery.start_soon(self._repeat, self._tell, NOTE_SECONDS)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(RELEASE_SECONDS):
                await self._leave()

    def _note_others(self) -> None:
        """Alerts say from which host they are, from the first other host on that this one meets, restarts included."""
        if not self._targets.is_alone:
            self._hosts.note_others()

    async def _repeat(
        self, step: Callable[[], Any], every: float, at_once: Callable[[], trio.Event] = trio.Event
    ) -> None:
        """Take a step every so many seconds, and when the event is set that `at_once` returns."""
        while True:
            began, early = self._clock.now(), at_once()
            try:
                await step()
            except EngineAway as away:
                self._lost(away)
                await trio.sleep(RETRY_SECONDS)
            except StorageFull:
                await trio.sleep(RETRY_SECONDS)
            with trio.move_on_at(began + every):
                await early.wait()

    async def _exchange_all(self) -> None:
        while True:
            changed = self._store.changed
            self._follow_configuration()
            self._poll()
            try:
                # While the engine is away only `tend` asks it: a hand-over without an answer would count as a possible duplicate.
                for target in self._targets if self._targets.away_since is None else ():
                    await self._exchange.step(target)
                if self._clock.now() >= self._clears_at:
                    self._clears_at = self._clock.now() + POLL_SECONDS
                    await self._leftovers.step()
            except EngineAway as away:
                self._lost(away)
                await trio.sleep(RETRY_SECONDS)
            except StorageFull:
                await trio.sleep(RETRY_SECONDS)
            await trio.sleep(GAP_SECONDS)
            with trio.move_on_after(POLL_SECONDS):
                await changed.wait()

    def _poll(self) -> None:
        """Every second, have each target looked at, whatever was or was not said to have changed."""
        now = self._clock.now()
        if now >= self._poll_at:
            self._poll_at = now + POLL_SECONDS
            for target in self._targets:
                target.is_due = target.is_stale = True

    async def _tend_all(self) -> None:
        try:
            await self._naming.step()
            if not self._has_noted:  # it remembers a host there for longer than at a target
                await self.view.tell()
                self._has_noted = True
                await self._naming.step()
            for target in self._targets:
                await self._leases.tend(target, wants=self._clock.now() >= self._rejoins_at)
            if not self._identity.is_refused:
                await self._store.scopes.join(self._targets.all_names())
        finally:
            self._check_outage()
        self._note_others()
        await self._found()

    async def _tell(self) -> None:
        await self.view.tell()
        if self._clock.now() >= self._settings_at:
            await self._read_settings()

    async def _read_settings(self) -> None:
        """Problems of the engine's settings, which operators change while it runs."""
        before, self._complaints = self._complaints, await self._engine.complaints()
        self._settings_at = self._clock.now() + SETTINGS_SECONDS
        if self._complaints and self._complaints != before:
            about = f"settings {next((target.name for target in self._targets), '')}"
            reports = await self._engine.claim(about, self._store.host, CLAIM_SECONDS)
            self._emit(EngineUnsafe(self._name, "; ".join(self._complaints), reports))

    async def _listen(self) -> None:
        while True:
            self._listens_to = [target.name for target in self._targets]
            try:
                with trio.CancelScope() as self._listening:
                    if not self._listens_to:
                        await trio.sleep_forever()
                    names = await self._engine.wait(self._listens_to, self._store.host)
                    self._deaf = None
                    self._on_wakeup(names)
            except EngineAway as away:
                self._on_deaf(away)
                await trio.sleep(RETRY_SECONDS)

    def _on_deaf(self, away: EngineAway) -> None:
        """The end of the subscription is the first that a host notices of the end of an engine: it asks at once."""
        if away.cause is Cause.PERMISSION:
            if self._deaf is None:
                self._emit(WakeupsRefused(self._name, str(away)))
            self._deaf = away
        elif self._targets.away_since is None:
            self._tends_now.set()
            self._tends_now = trio.Event()

    def _follow_configuration(self) -> None:
        """Listen to other targets after a reload."""
        if self._listens_to != [target.name for target in self._targets]:
            self._listening.cancel()

    def _on_wakeup(self, names: Collection[str]) -> None:
        stale = [target for target in self._targets if target.name in names]
        for target in stale:
            target.is_stale = True
        self._store.wake(stale)

    async def _leave(self) -> None:
        """Give the leases back, when no request is in flight any more."""
        with suppress(EngineAway):
            for target in self._targets:
                while target.requests:  # noqa: ASYNC110 - the lanes end by themselves, within their deadlines
                    await trio.sleep(0.02)
                if target.holds(self._clock.now()):
                    await self._store.reports.send(target)
                    target.lose()
                    await self._engine.release(target.name, target.token)
                if self._targets.away_since is None:
                    await self._engine.leave(target.name, self._store.host, self._identity.start)
            if self._targets.away_since is None:
                with trio.move_on_after(GOODBYE_SECONDS):
                    await self.view.presence.leave()
        await self._engine.aclose()

    # --- outages ----------------------------------------------------------------------------------------------------------

    def _lost(self, away: EngineAway) -> None:
        self._store.scopes.on_outage()
        if self._targets.away_since is None:
            self._targets.away_since = self._clock.now()
        self._targets.away = away
        if not self._causes:
            self._emit(EngineLost(self._name, away.cause.word, str(away), self._then()))
        elif away.cause not in self._causes:
            self._emit(EngineStillLost(self._name, away.cause.word, str(away)))
        self._causes.add(away.cause)

    def _then(self) -> str:
        if self._targets.degrades:
            return "URGENT and HIGH of this host are sent at its share of the limits, the rest waits"
        return "what it accepts waits"

    async def _found(self) -> None:
        """The engine may be there again. One that refused a step is when all steps work, and not only the lease."""
        if self._targets.away_since is None:
            return
        if any(cause.is_answer for cause in self._causes):
            await self._engine.try_out(f"trial-{self._store.host}")
        self._targets.away_since, self._has_alarmed = None, False
        self._causes.clear()
        for target in self._targets:  # it may have lost its last second
            await self._journal.run(epochs.offer_again, self._store.host, target.name)
            await self._leases.report(target)
        self._exchange.handed.clear()
        if self._has_hinted:
            self._rejoins_at = self._clock.now() + REJOIN_SECONDS
        self._share_limits(alone=False)
        self._emit(EngineFound(self._name))
        self._settings_at = -inf
        self._store.wake()

    def _check_outage(self) -> None:
        """Tell the lanes when they send alone, and have them look again for deliveries that may be sent now."""
        now = self._clock.now()
        if not self._targets.is_away(now):
            return
        self._raise_alarm(now)
        for target in self._targets:
            self._leases.troubles.stand_by(target)
        if not self._has_hinted:
            self._looked_at, self._rejoins_at = -inf, inf
            self._share_limits(alone=True)
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            self._refresh()

    def _refresh(self) -> None:
        for name in self._targets.all_names():
            self._store.wakeups.refresh(name)

    def _raise_alarm(self, now: float) -> None:
        seconds, away = now - (self._targets.away_since or now), self._targets.away
        if seconds >= ALARM_SECONDS and not self._has_alarmed:
            self._has_alarmed = True
            said = away.cause.word, away.cause.says, away.detail
            self._emit(EngineMissing(self._name, *said, self._then(), seconds))

    def _share_limits(self, *, alone: bool) -> None:
        if alone == self._has_hinted:
            return
        self._has_hinted = alone
        for target in self._targets:
            target.ready = target.ready and not alone
            for name in self._targets.names(target):
                with suppress(KeyError):
                    in_channel = max(target.hosts, self._store.scopes.hosts(name))
                    self._lanes.share_limits(name, *((target.hosts, in_channel) if alone else (1, 1)))

    def _state(self) -> EngineState:
        """For observers."""
        known = self._leases.forgot_at, len(self._exchange.strange), self._exchange.quarantined
        away = None if self._targets.away_since is None else self._targets.away
        deaf = [f"{self._deaf}; so this host asks for news every second"] if self._deaf else []
        copied = self._naming.copied
        is_new = copied is not None and self._clock.now() - copied.at < COPIED_SECONDS
        complaints = [*self._complaints, *deaf]
        return EngineState(self._name, away, self._then(), complaints, *known, copied=copied if is_new else None)
