"""One host: a disk, a clock of its own, and a daemon that can be killed, stopped and started again.

The daemon is the real one from acceptance to the messages: acceptor, store, lanes, hub. It has neither sockets nor observers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import trio
from tests.simulator import signals

from tocsin.signals import PRIORITIES, Signal
from tocsind.config import Config, parse
from tocsind.core.admission import Peer
from tocsind.core.assembly import Core, assemble
from tocsind.core.settle import JournalStore
from tocsind.delivery.supervisor import Supervisor
from tocsind.events import Event
from tocsind.journal.maintenance import EXPIRED_REASON
from tocsind.shared.assembly import make_hub, store_maker
from tocsind.shared.store import SharedStore
from tocsind.shared.targets import Target
from tocsind.testing.engine import MemoryEngine

from .discord import TITLE, URL, Connection, Discord
from .journal import InlineJournal, copy_of, new_disk
from .life import Killed, Life
from .way import Cut, Way

PEER: Final = Peer(1000, 1000, 4711)
ID: Final = "{:026}"
SOME_MORNING: Final = 1_767_225_600.0
TABLE: Final = '[shared]\nurl = "unix:///engine.sock"\non-outage = "{}"\n'
DISCORD: Final = f"""
[destinations.d{{}}]
kind = "discord"
webhook = "{URL}"
channel-limit = "30/60s"
"""
ROUTE: Final = '[[routes]]\nto = ["d{}"]\n'


def configuration(on_outage: str | None, webhooks: Sequence[int] = (0,)) -> Config:
    """Webhooks of the channel, by number; None: this host shares them with no other."""
    head = TABLE.format(on_outage) if on_outage else ""
    text = head + "".join(DISCORD.format(n, n) for n in webhooks) + ROUTE.format(webhooks[0])
    return parse(text, "alerts.toml")


class Said(NamedTuple):
    """The state that a host reports for a signal that it accepted."""

    state: str
    reason: str

    @property
    def denies(self) -> bool:
        """Whether it says that the signal was never posted."""
        return self.state == "expired" and self.reason.endswith(EXPIRED_REASON)


class HostClock:
    """This host's clocks: the wall differs from the others' by some seconds."""

    def __init__(self, ahead: float) -> None:
        self._base = SOME_MORNING + ahead

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return self._base + trio.current_time()

    steady = wall


class Host:
    """`run` is its task, for all its lives. Signals can be handed to it at any time: what comes while it is down waits in the spool."""

    def __init__(  # noqa: PLR0917 - put together in one place, by `cluster`
        self,
        name: str,
        folder: Path,
        config: Config,
        engine: MemoryEngine,
        discord: Discord,
        ahead: float,
        chance: Random,
        disk: sqlite3.Connection | None = None,
    ) -> None:
        self.name = name
        self.cut = Cut.NOTHING
        self.events: list[Event] = []
        self.life = Life()
        self.targets: Iterable[Target] = ()
        self.disk = disk or new_disk()
        self._folder = folder
        self._config = config
        self._engine = engine
        self._discord = discord
        self._clock = HostClock(ahead)
        self._chance = chance
        self.is_up = True
        self.ended = trio.Event()
        self._spool: list[signals.Signal] = []
        self._handed = trio.Event()
        folder.mkdir()
        (folder / "host").write_text(f"{name}\n")

    # --- what may happen to it ---------------------------------------------------------------------------------------------

    def hand(self, signal: signals.Signal) -> None:
        """A program raises a signal: it is on disk at once."""
        self._spool.append(signal)
        self._handed.set()

    def copy(self, folder: Path, chance: Random) -> Host:
        """Another machine with a copy of this host's state folder."""
        disk, ahead = copy_of(self.disk), self._clock.wall() - trio.current_time() - SOME_MORNING
        return Host(self.name, folder, self._config, self._engine, self._discord, ahead, chance, disk)

    def end(self, *, at_once: bool) -> None:
        """SIGKILL; or SIGTERM: what is in flight ends, and leases are given back."""
        self.is_up = False
        if at_once:
            self.life.kill()
        else:
            self.life.scope.cancel()

    def is_holder(self) -> bool:
        """Whether it sends for all."""
        return not self.life.is_over and any(target.holds(trio.current_time()) for target in self.targets)

    def left(self) -> list[str]:
        """Signals that were not accepted, and deliveries that have not ended, or whose end was not told, or not heard of."""
        rows = self.disk.execute(
            "SELECT d.number, d.state, coalesce(e.stage, '-'), coalesce(e.origin, '-'), coalesce(d.reason, '') FROM deliveries d"
            " LEFT JOIN shared e ON e.delivery = d.number"
            " WHERE d.state IN ('queued', 'sending', 'held') OR e.stage IN ('begun', 'waits')"
        )
        return [*(f"{each.number} in the spool" for each in self._spool), *(" ".join(map(str, row)) for row in rows)]

    def said(self, number: int) -> Said:
        """Of a signal."""
        row = self.disk.execute(
            "SELECT d.state, coalesce(d.reason, '') FROM deliveries d JOIN signals s ON s.number = d.signal WHERE s.id = ?",
            (ID.format(number),),
        ).fetchone()
        return Said(*row)

    # --- its lives ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """One life, until it is killed."""
        self.life, self.ended = life, ended = Life(), trio.Event()
        self.is_up = True
        try:
            with life.scope:
                await self._live(life)
        except* Killed:
            pass
        ended.set()

    async def _live(self, life: Life) -> None:
        journal = InlineJournal(self._folder, self.disk, life, self._chance)
        is_shared = self._config.shared.url is not None
        way = Way(self._engine, life, lambda: self.cut, self._chance)
        make_store = store_maker(self._config.shared, self._folder, self._clock, way) if is_shared else JournalStore
        core = assemble(journal, self._config, self._clock, self._emit, self._folder, self._chance.random, make_store)
        lanes = Supervisor(
            core.config,
            core.store,
            operator=core.operator,
            wakeups=core.wakeups,
            clock=self._clock,
            emit=self._emit,
            folder=self._folder,
            client=Connection(self._discord, life),
        )
        async with trio.open_nursery() as nursery:
            await core.store.replay()
            await core.silences.load()
            await lanes.apply(self._config, nursery)
            if isinstance(core.store, SharedStore):
                self.targets = core.store.targets
                hub = make_hub(
                    self._config.shared,
                    journal,
                    core.store,
                    lanes,
                    hosts=core.hosts,
                    operator=core.operator,
                    clock=self._clock,
                    emit=self._emit,
                )
                nursery.start_soon(hub.run)
            nursery.start_soon(self._accept, core)
            nursery.start_soon(self._expire, core)

    async def _expire(self, core: Core) -> None:
        while True:
            changed = core.wakeups.deadline_changed
            deadline = await core.store.expire()
            with trio.move_on_after(inf if deadline is None else max(0.0, deadline - self._clock.steady())):
                await changed.wait()

    async def _accept(self, core: Core) -> None:
        while True:
            while self._spool:
                taken = list(self._spool)
                await core.acceptor.accept([_signal(each) for each in taken], PEER)
                del self._spool[: len(taken)]
            self._handed = trio.Event()
            await self._handed.wait()

    def _emit(self, event: Event) -> None:
        self.events.append(event)


def _signal(signal: signals.Signal) -> Signal:
    """As a program would raise it; the id makes a second acceptance a duplicate."""
    return Signal(
        TITLE.format(signal.number),
        body="x" * signal.size,
        priority=PRIORITIES[signal.priority],
        id=ID.format(signal.number),
        expires=signal.expires,
        to=[f"d{signal.webhook}"],
    )
