"""The core and the lanes as the daemon has them, without its socket: real journal, real files, real clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.core.admission import Peer
from tocsind.core.assembly import Core, assemble
from tocsind.delivery.housekeeping import Housekeeping
from tocsind.delivery.lane import Lane
from tocsind.delivery.supervisor import Supervisor
from tocsind.destinations.http import HttpClient
from tocsind.events import Dead, Emit, Event
from tocsind.journal import Connection, Journal
from tocsind.observe.health_readings import HealthCheck
from tocsind.observe.metrics import Metrics
from tocsind.observe.status import StatusView
from tocsind.policy.routes import Thresholds
from tocsind.spool import SpoolImporter
from tocsind.testing.clock import SteppedClock

PATIENCE = 20.0


def destination(name: str, path: str | None = None, **options: Any) -> DestinationOptions:
    return DestinationOptions(name, "file", FileOptions(path or f"{name}.jsonl"), **options)


def config(*destinations: DestinationOptions) -> Config:
    named = {each.name: each for each in destinations}
    return Config(DaemonOptions(reserve=0), Thresholds(), named, (), (), "test")


def supervisor(core: Core, clock: Clock, emit: Emit, folder: Path, client: HttpClient) -> Supervisor:
    return Supervisor(
        core.config,
        core.store,
        operator=core.operator,
        wakeups=core.wakeups,
        clock=clock,
        emit=emit,
        folder=folder,
        client=client,
    )


def importer(path: Path, journal: Journal, core: Core, clock: Clock, emit: Emit) -> SpoolImporter:
    return SpoolImporter(
        path,
        journal,
        core.acceptor,
        config=core.config,
        disk_guard=core.disk_guard,
        attachments=core.attachments,
        clock=clock,
        emit=emit,
    )


def health_check(journal: Journal, core: Core, lanes: Supervisor, metrics: Metrics, clock: Clock) -> HealthCheck:
    return HealthCheck(journal, lanes, metrics, config=core.config, disk_guard=core.disk_guard, clock=clock)


def status_view(journal: Journal, core: Core, lanes: Supervisor, metrics: Metrics, clock: Clock) -> StatusView:
    return StatusView(
        journal,
        health_check(journal, core, lanes, metrics, clock),
        metrics,
        config=core.config,
        disk_guard=core.disk_guard,
        attachments=core.attachments,
        clock=clock,
    )


def housekeeping(journal: Journal, core: Core, lanes: Iterable[Lane], clock: Clock) -> Housekeeping:
    return Housekeeping(
        journal,
        core.store,
        lanes,
        timekeeper=core.timekeeper,
        wakeups=core.wakeups,
        disk_guard=core.disk_guard,
        attachments=core.attachments,
        clock=clock,
    )


class InProcess:
    def __init__(self, journal: Journal, client: HttpClient, folder: Path, nursery: trio.Nursery) -> None:
        self.clock = SteppedClock()
        self.events: list[Event] = []
        self.observers: list[Emit] = []
        self.journal = journal
        self.core = assemble(journal, config(), self.clock, self.record, folder)
        self.lanes = supervisor(self.core, self.clock, self.record, folder, client)
        self.nursery = nursery

    def health_check(self, metrics: Metrics) -> HealthCheck:
        return health_check(self.journal, self.core, self.lanes, metrics, self.clock)

    def status_view(self, metrics: Metrics) -> StatusView:
        return status_view(self.journal, self.core, self.lanes, metrics, self.clock)

    def record(self, event: Event) -> None:
        self.events.append(event)
        for observe in self.observers:
            observe(event)

    async def apply(self, *destinations: DestinationOptions) -> None:
        await self.lanes.apply(config(*destinations), self.nursery)

    async def accept(self, *titles: str, **fields: Any) -> list[str]:
        receipts = await self.core.acceptor.accept([Signal(title, **fields) for title in titles], Peer(0, 0, 0))
        return [receipt.id for receipt in receipts]

    async def make_dead(self, *ids: str) -> None:
        """Mark the deliveries of these signals dead."""

        now = self.clock.steady()

        def mark(connection: Connection) -> None:
            for id_ in ids:
                connection.execute(
                    "UPDATE deliveries SET state = 'dead', since = ? WHERE signal = (SELECT number FROM signals WHERE id = ?)",
                    (now, id_),
                )

        await self.journal.run(mark)
        for id_ in ids:
            self.record(Dead(id_, "a", "400"))

    async def send(self, title: str, to: str) -> str | None:
        (id_,) = await self.accept(title, to=to)
        return await self.core.waiters.wait_settled(id_, PATIENCE)


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[InProcess]:
    async with Journal(folder) as journal, HttpClient() as client, trio.open_nursery() as nursery:
        yield InProcess(journal, client, folder, nursery)
        nursery.cancel_scope.cancel()
