"""A run of several hosts that share a channel: a model of the server, a workload spread over them, faults, and a seed."""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from unittest.mock import patch

import trio
from tests.simulator.record import RunRecord
from tests.simulator.scenario import ahead
from tests.simulator.server import Model, Server
from tests.simulator.wire import SPIKES
from tests.simulator.workloads import WORKLOADS, signals
from tests.simulator.world import BEGIN
from trio.testing import MockClock

from tocsind.testing.engine import MemoryEngine

from .discord import Discord
from .host import Host, Said, configuration
from .way import Cut

DAY: Final = 86_400.0  # s; by so much the hosts' wall clocks differ
START: Final = 10.0  # s in which hosts start, before the first signal
PATIENCE: Final = 3600.0  # s after the last signal until what has not arrived is lost
AFTERWARDS: Final = 60.0  # s until every host has to know what became of its signals


class What(Enum):
    """A fault."""

    KILL = "kill"  # SIGKILL of a host; it starts again after so many seconds
    TERMINATE = "terminate"  # SIGTERM
    STOP = "stop"  # SIGSTOP for so many seconds
    CUT_OFF = "cut off"  # the host's questions do not reach the engine
    DEAF = "deaf"  # the engine's answers do not reach the host
    AWAY = "away"  # no host reaches the engine
    RESTART = "restart"  # the engine is down, and is there again with all that it had
    FORGET = "forget"  # the engine loses everything
    COPY = (
        "copy"  # a host's state folder is copied; a second daemon starts on the copy after so many seconds, and stays
    )
    LOSE_TAIL = "lose tail"  # a failover: the engine is away for 1 s, and has lost the last seconds before


PASSING: Final = tuple(what for what in What if what is not What.COPY)  # after these the hosts are the same as before


class Fault(NamedTuple):
    """`at`: seconds after the first signal could come. `host`: by number; None: the one that sends. It lasts so many seconds."""

    at: float
    what: What
    host: int | None = None
    seconds: float = 1.0


class Case(NamedTuple):
    """One run. `hosts`: 0 is one host without an engine. `webhooks`: those that each host has, one after the other and over again.
    `answers`: the same load on the same hosts, with other latencies of the server.
    """

    model: Model
    workload: str
    seed: int
    hosts: int = 0
    faults: tuple[Fault, ...] = ()
    on_outage: str = "degrade"
    spikes: float = SPIKES
    length: float | None = None  # s of the workload
    webhooks: tuple[tuple[int, ...], ...] = ((0,),)
    expires: tuple[float, ...] = ()  # s: one of these for each signal; none: they do not expire
    answers: int = 0


class Finding(NamedTuple):
    """The outcome: the test's record, copies without a mark, entries left behind, and signals of which the accepting host and the server
    tell different ends: none, if all is well. `states` counts the ends that the accepting hosts tell.
    """

    record: RunRecord
    unmarked: int
    left: list[str]
    contradictions: list[str]
    states: Counter[str]


def run(case: Case) -> Finding:
    """Run one case in virtual time."""
    clock = MockClock(autojump_threshold=0)
    clock.jump(BEGIN - START)
    with tempfile.TemporaryDirectory(prefix="tocsin-hosts-") as folder, _determined(case.seed):
        return trio.run(Cluster(case, Path(folder)).run, clock=clock)


@contextmanager
def _determined(seed: int) -> Iterator[None]:
    """The order in which trio runs its tasks follows from the seed."""
    with patch.multiple("trio._core._run", _ALLOW_DETERMINISTIC_SCHEDULING=True, _r=Random(seed)):
        yield


class Cluster:
    """The hosts, their engine and their far end."""

    def __init__(self, case: Case, folder: Path) -> None:
        self._case = case
        self._copies = 0
        self._has_copies = any(fault.what is What.COPY for fault in case.faults)
        self._folder = folder
        self._chance = {
            name: Random(f"{case.seed} {name}") for name in ("workload", "hosts", "webhooks", "wire", "discord", "down")
        }
        if case.answers:
            self._chance["discord"] = Random(f"{case.seed} discord {case.answers}")
        self.record = RunRecord()

    async def run(self) -> Finding:
        case = self._case
        self._engine = MemoryEngine()
        on_outage = case.on_outage if case.hosts else None
        async with trio.open_nursery() as self._nursery:
            server = Server(case.model, ahead(case.seed))
            self._discord = Discord(server, self.record, self._nursery, self._chance["discord"], case.spikes)
            self.hosts = [
                Host(
                    f"host-{n}",
                    self._folder / str(n),
                    configuration(on_outage, self._webhooks(n)),
                    self._engine,
                    self._discord,
                    self._chance["hosts"].uniform(-DAY, DAY) if n else 0.0,
                    Random(f"{case.seed} {n}"),
                )
                for n in range(max(1, case.hosts))
            ]
            for host in self.hosts:
                self._nursery.start_soon(host.run)
            await trio.sleep_until(BEGIN)
            for fault in case.faults:
                self._nursery.start_soon(self._disturb, fault)
            await self._hand_over()
            left = await self._end()
            said = {number: self.hosts[each.host].said(number) for number, each in self._discord.signals.items()}
            for host in self.hosts:
                host.end(at_once=True)
            self._nursery.cancel_scope.cancel()
        contradictions = [
            f"{number}, which arrived {self._discord.arrivals[number]} times: {each}"
            for number, each in said.items()
            if self._is_false(number, each)
        ]
        states = Counter(each.state for each in said.values())
        return Finding(self.record, self._discord.unmarked_copies, left, contradictions, states)

    def _is_false(self, number: int, said: Said) -> bool:
        """Whether a host denies that a signal arrived, or says that one did which did not."""
        arrived = self._discord.arrivals[number] > 0
        return said.denies if arrived else said.state == "sent"

    def _webhooks(self, host: int) -> tuple[int, ...]:
        return self._case.webhooks[host % len(self._case.webhooks)]

    async def _hand_over(self) -> None:
        offers = WORKLOADS[self._case.workload](self._chance["workload"])
        handed = signals(offers, self._chance["workload"], BEGIN)
        for each in handed:
            if self._case.length is not None and each.at > BEGIN + self._case.length:
                break
            host = self._chance["hosts"].randrange(len(self.hosts))
            expires = self._chance["hosts"].choice(self._case.expires) if self._case.expires else None
            webhook = self._chance["webhooks"].choice(self._webhooks(host))
            signal = each._replace(host=host, webhook=webhook, expires=expires)
            await trio.sleep_until(signal.at)
            self._discord.signals[signal.number] = signal
            self.record.handed(signal)
            self.hosts[host].hand(signal)

    # --- the end -----------------------------------------------------------------------------------------------------------

    async def _end(self) -> list[str]:
        with trio.move_on_after(PATIENCE):
            while self.record.lost and not self._case.expires:  # noqa: ASYNC110 - no event tells
                await trio.sleep(1.0)
        with trio.move_on_after(PATIENCE if self._has_copies else AFTERWARDS):  # then much is sent twice
            while self._left():  # noqa: ASYNC110 - as above
                await trio.sleep(1.0)
        return self._left()

    def _left(self) -> list[str]:
        """Entries of the engine that no host will finish. Copies may leave ended attempts, and ends for a name that no host has."""
        left = [f"{host.name}: {row}" for host in self.hosts for row in host.left()]
        at_engine = self._engine.left() if self._case.hosts else []
        return left + [
            row for row in at_engine if not (self._has_copies and row.startswith(("attempt for", "news of")))
        ]

    # --- faults ------------------------------------------------------------------------------------------------------------

    async def _disturb(self, fault: Fault) -> None:
        start = BEGIN + fault.at
        if fault.what is What.LOSE_TAIL:
            await trio.sleep_until(start - fault.seconds)
            replica, scopes = self._engine.copy(), copy.deepcopy(self._engine.scopes)
            await trio.sleep_until(start)
            self._engine.away = True
            await trio.sleep(1.0)
            self._engine.fail_over(replica)
            self._engine.scopes, self._engine.away = scopes, False
            return
        await trio.sleep_until(start)
        await self._strike(fault)

    async def _strike(self, fault: Fault) -> None:
        host = self.hosts[fault.host] if fault.host is not None else self._holder()
        match fault.what:
            case What.FORGET:
                self._engine.flush()
            case What.AWAY | What.RESTART:
                self._engine.away = True
                await trio.sleep(fault.seconds)
                if fault.what is What.RESTART:
                    self._engine.fail_over()
                self._engine.away = False
            case What.KILL | What.TERMINATE if host.is_up:
                host.end(at_once=fault.what is What.KILL)
                await trio.sleep(fault.seconds)
                await host.ended.wait()
                self._nursery.start_soon(host.run)
            case What.STOP:
                life = host.life
                life.stop()
                await trio.sleep(fault.seconds)
                life.go_on()
            case What.COPY:
                self._copies += 1
                copied = host.copy(self._folder / f"copy {self._copies}", self._chance["down"])
                await trio.sleep(fault.seconds)
                self.hosts.append(copied)
                self._nursery.start_soon(copied.run)
            case What.CUT_OFF | What.DEAF:
                host.cut = Cut.QUESTIONS if fault.what is What.CUT_OFF else Cut.ANSWERS
                await trio.sleep(fault.seconds)
                host.cut = Cut.NOTHING

    def _holder(self) -> Host:
        """The host that sends; without one, any."""
        holding = [host for host in self.hosts if host.is_holder()]
        return (holding or self.hosts)[0]
