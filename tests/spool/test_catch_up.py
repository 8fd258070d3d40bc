"""A question sees the records written to the spool before it, whatever the importer does at that moment."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.daemon.inprocess import PATIENCE, InProcess, importer, in_process

from tocsin.frames import array_of, packed
from tocsin.outbox import Outbox
from tocsin.signals import Signal
from tocsind.clock import SystemClock
from tocsind.events import Event
from tocsind.ipc import catching_up
from tocsind.ipc.connection import Refusal
from tocsind.ipc.protocol import Status, Why
from tocsind.journal import queries
from tocsind.spool import SpoolImporter


class Held:
    """A call of the importer that waits, at its end or at its beginning, until the test releases it."""

    def __init__(self, call: Callable[..., Any], *, first: bool) -> None:
        self._call = call
        self._first = first  # call first, then wait
        self._reached, self._let_go = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        found = self._call(*arguments) if self._first else None
        self._reached.set()
        self._let_go.wait(PATIENCE)
        return found if self._first else self._call(*arguments)

    async def reached(self) -> None:
        assert await trio.to_thread.run_sync(self._reached.wait, PATIENCE)

    def go_on(self) -> None:
        self._let_go.set()


@asynccontextmanager
async def reader(folder: Path) -> AsyncIterator[tuple[InProcess, SpoolImporter]]:
    events: list[Event] = []
    with trio.fail_after(PATIENCE):
        async with in_process(folder) as at:
            yield at, importer(folder / "spool", at.journal, at.core, SystemClock(), events.append)
            at.nursery.cancel_scope.cancel()


def written(spool: Path, title: str) -> str:
    """Write a signal into the outbox of a program that has exited; its id."""
    signal = Signal(title)
    outbox = Outbox(str(spool))
    outbox.append(array_of([packed(signal)]), 1.0, synced=False)
    outbox.close()
    return signal.id


async def is_stored(at: InProcess, id_: str) -> bool:
    return await at.journal.run(queries.states, id_) is not None


async def test_question_between_two_turns_sees_earlier_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reader(tmp_path) as (at, spool):
        sweeping, go_on = trio.Event(), trio.Event()

        async def sweep(_: float) -> None:
            sweeping.set()
            await go_on.wait()

        monkeypatch.setattr(at.core.attachments, "sweep", sweep)
        at.nursery.start_soon(spool.run)
        await sweeping.wait()  # the first turn has ended, and the importer does not wait for changes yet
        id_ = written(tmp_path / "spool", "a")
        async with trio.open_nursery() as asking:
            asking.start_soon(spool.catch_up, PATIENCE)
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
        assert await is_stored(at, id_)


async def test_question_sees_an_outbox_created_after_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader(tmp_path) as (at, spool):
        listing = Held(spool._folder.names, first=True)
        monkeypatch.setattr(spool._folder, "names", listing)
        at.nursery.start_soon(spool.run)
        await listing.reached()
        id_ = written(tmp_path / "spool", "a")
        async with trio.open_nursery() as asking:
            asking.start_soon(spool.catch_up, PATIENCE)
            await trio.testing.wait_all_tasks_blocked()
            listing.go_on()
        assert await is_stored(at, id_)


async def test_question_about_a_signal_waits_for_the_first_turn_unlike_an_overview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "CATCH_UP", 0.01)
    async with reader(tmp_path) as (at, spool):
        id_ = written(tmp_path / "spool", "a")
        look = Held(spool._folder.scan, first=False)
        monkeypatch.setattr(spool._folder, "scan", look)
        at.nursery.start_soon(spool.run)
        await look.reached()
        async with trio.open_nursery() as asking:
            asking.start_soon(catching_up.catch_up, Why(id=id_), spool, at.journal)
            await catching_up.catch_up(Status(), spool, at.journal)
            assert not await is_stored(at, id_)
            look.go_on()
        assert await is_stored(at, id_)


async def test_question_about_an_unknown_signal_is_busy_while_the_spool_is_unreadable(
    tmp_path: Path,
) -> None:
    (tmp_path / "spool").write_text("no folder")
    async with reader(tmp_path) as (at, spool):
        at.nursery.start_soon(spool.run)
        with pytest.raises(Refusal, match=r"it may wait in the spool: .*/spool") as refused:
            await catching_up.catch_up(Why(id=Signal("a").id), spool, at.journal)
        assert refused.value.kind == "busy"


async def test_turn_of_the_importer_ends_despite_constant_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader(tmp_path) as (at, spool):
        path, look = tmp_path / "spool", spool._folder.scan
        ids = [written(path, "first")]

        def busy(*arguments: Any) -> Any:
            ids.append(written(path, "next"))
            trio.from_thread.run(spool.catch_up, 0.0)  # a question of another client
            return look(*arguments)

        monkeypatch.setattr(spool._folder, "scan", busy)
        at.nursery.start_soon(spool.run)
        assert await spool.catch_up(PATIENCE)
        assert await is_stored(at, ids[0])
