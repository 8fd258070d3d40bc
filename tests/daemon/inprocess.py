"""Dispatch and lanes as the daemon has them, without its socket: real journal, real files, real clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tocsin.signals import Signal
from tocsind.config import Config, DaemonOptions, DestinationOptions, FileOptions
from tocsind.core.admission import Peer
from tocsind.core.dispatch import Dispatch
from tocsind.delivery.supervisor import Supervisor
from tocsind.destinations.http import HttpClient
from tocsind.events import Dead, Emit, Event
from tocsind.journal import Connection, Journal
from tocsind.policy.routes import Thresholds
from tocsind.testing.clock import SteppedClock

PATIENCE = 20.0


def destination(name: str, path: str | None = None, **options: Any) -> DestinationOptions:
    return DestinationOptions(name, "file", FileOptions(path or f"{name}.jsonl"), **options)


def config(*destinations: DestinationOptions) -> Config:
    named = {each.name: each for each in destinations}
    return Config(DaemonOptions(reserve=0), Thresholds(), named, (), (), "test")


class InProcess:
    def __init__(self, journal: Journal, client: HttpClient, folder: Path, nursery: trio.Nursery) -> None:
        self.clock = SteppedClock()
        self.facts: list[Event] = []
        self.observers: list[Emit] = []
        self.dispatch = Dispatch(journal, config(), self.clock, self.hear, folder)
        self.lanes = Supervisor(self.dispatch, self.clock, self.hear, folder, client)
        self.nursery = nursery

    def hear(self, fact: Event) -> None:
        self.facts.append(fact)
        for observe in self.observers:
            observe(fact)

    async def follow(self, *destinations: DestinationOptions) -> None:
        await self.lanes.apply(config(*destinations), self.nursery)

    async def store(self, *titles: str, **fields: Any) -> list[str]:
        receipts = await self.dispatch.accept([Signal(title, **fields) for title in titles], Peer(0, 0, 0))
        return [receipt.id for receipt in receipts]

    async def bury(self, *ids: str) -> None:
        """What waits of these signals has died."""

        now = self.clock.steady()

        def die(connection: Connection) -> None:
            for id_ in ids:
                connection.execute(
                    "UPDATE deliveries SET state = 'dead', since = ? WHERE signal = (SELECT number FROM signals WHERE id = ?)",
                    (now, id_),
                )

        await self.dispatch.journal.run(die)
        for id_ in ids:
            self.hear(Dead(id_, "a", "400"))

    async def send(self, title: str, to: str) -> str | None:
        (id_,) = await self.store(title, to=to)
        return await self.dispatch.wait_settled(id_, PATIENCE)


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[InProcess]:
    async with Journal(folder) as journal, HttpClient() as client, trio.open_nursery() as nursery:
        yield InProcess(journal, client, folder, nursery)
        nursery.cancel_scope.cancel()
