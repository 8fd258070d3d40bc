"""The daemon's own outbox: what is on disk when `append` returns True, and when it returns False."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.daemon.inprocess import PATIENCE, importer, in_process
from tests.outboxes import bodies, close_outboxes, files

from tocsind.clock import SystemClock
from tocsind.spool import OwnOutbox, SpoolImporter


@pytest.fixture(autouse=True)
def closed_outboxes() -> Iterator[None]:
    yield
    close_outboxes()


def records(folder: Path) -> list[Any]:
    """The records of the one outbox there."""
    (box,) = files(folder / "spool")
    return list(bodies(box))


@asynccontextmanager
async def own_outbox(folder: Path) -> AsyncIterator[tuple[OwnOutbox, SpoolImporter]]:
    """An outbox that runs, and an importer that does not."""
    with trio.fail_after(PATIENCE):
        async with in_process(folder) as at, trio.open_nursery() as nursery:
            spool = importer(folder / "spool", at.journal, at.core, SystemClock(), lambda _: None)
            outbox = OwnOutbox(folder / "spool", spool)
            nursery.start_soon(outbox.run)
            await trio.testing.wait_all_tasks_blocked()
            yield outbox, spool
            nursery.cancel_scope.cancel()


async def test_own_outbox_appends_while_an_importer_holds_the_spool(tmp_path: Path) -> None:
    async with own_outbox(tmp_path) as (outbox, spool):
        assert not await outbox.append(b'{"title":"a"}')
        spool._folder.prepare()
        assert await outbox.append(b'{"title":"b"}')
        assert records(tmp_path) == [[{"title": "b"}]]
        spool._folder.close()


async def test_signals_that_come_during_a_sync_share_the_next_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, go_on, sync = threading.Event(), threading.Event(), os.fdatasync
    results: list[bool] = []

    def held(file: int) -> None:
        syncing.set()
        assert go_on.wait(PATIENCE)
        sync(file)

    async with own_outbox(tmp_path) as (outbox, spool):

        async def append(part: bytes) -> None:
            results.append(await outbox.append(part))

        spool._folder.prepare()
        monkeypatch.setattr(os, "fdatasync", held)
        async with trio.open_nursery() as senders:
            senders.start_soon(append, b"0")
            await trio.to_thread.run_sync(syncing.wait)
            for number in b"123":
                senders.start_soon(append, bytes([number]))
                await trio.testing.wait_all_tasks_blocked()
            assert results == []
            go_on.set()
        assert (records(tmp_path), results) == ([[0], [1, 2, 3]], [True] * 4)
        spool._folder.close()


async def test_record_of_many_large_signals_stays_readable(tmp_path: Path) -> None:
    async with own_outbox(tmp_path) as (outbox, spool):
        spool._folder.prepare()
        async with trio.open_nursery() as senders:
            for _ in range(40):
                senders.start_soon(outbox.append, b'"%b"' % (b"x" * 65536))
        assert sum(map(len, records(tmp_path))) == 40
        spool._folder.close()


async def test_own_outbox_appends_nothing_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with own_outbox(tmp_path) as (outbox, spool):
        spool._folder.prepare()
        monkeypatch.setattr(os, "fdatasync", fail)
        assert not await outbox.append(b"1")
        monkeypatch.undo()
        assert await outbox.append(b"2")
        spool._folder.close()


async def test_own_outbox_takes_no_signal_that_is_too_deep_to_be_read(tmp_path: Path) -> None:
    async with own_outbox(tmp_path) as (outbox, spool):
        spool._folder.prepare()
        assert not await outbox.append(b"[" * 501 + b"]" * 501)
        assert await outbox.append(b"[" * 500 + b"]" * 500)
        spool._folder.close()


async def test_own_outbox_takes_nothing_when_it_has_ended(tmp_path: Path) -> None:
    async with own_outbox(tmp_path) as (outbox, spool):
        spool._folder.prepare()
    assert not await outbox.append(b"1")
    spool._folder.close()


async def test_cancelled_signal_is_written_all_the_same(tmp_path: Path) -> None:
    async with own_outbox(tmp_path) as (outbox, spool):
        spool._folder.prepare()
        with trio.CancelScope() as scope:
            scope.cancel()
            await outbox.append(b"1")
        assert await outbox.append(b"2")
        assert [each for record in records(tmp_path) for each in record] == [1, 2]
        spool._folder.close()
