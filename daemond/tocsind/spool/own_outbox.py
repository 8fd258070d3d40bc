"""The daemon's own outbox: for signals whose sender asks no more than that they are on disk, which is one write and one sync.

It is an outbox as those of clients are (tocsin.outbox), and the importer reads it as it reads theirs. One thread writes to it, because a
sync blocks: it takes all signals that wait and writes them as one record, so that many senders share a sync.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import outcome
import trio

from tocsin import outbox
from tocsin.frames import array_of

from .importer import SpoolImporter

_PATIENCE: Final = 1.0  # s that a write waits for another thread of this process
_FULL: Final = 256 * 1024  # bytes of a record that takes no further signal
_DEEPEST: Final = 500  # brackets of a signal: the importer reads it for certain, and with it the others of its record


class _Waiter:
    """A signal as JSON, and the task that waits until it is written; None after a cancellation."""

    __slots__ = ("part", "task")

    def __init__(self, part: bytes) -> None:
        self.part = part
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()

    def abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Called by trio when the task is cancelled. The signal is written all the same."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class OwnOutbox:
    """Appends signals to an outbox of this process in `folder`, while `run` runs."""

    def __init__(self, folder: Path, importer: SpoolImporter) -> None:
        self._folder = str(folder)
        self._importer = importer
        self._waiting: SimpleQueue[_Waiter | None] = SimpleQueue()  # None ends the thread
        self._is_open = False

    async def run(self) -> None:
        """Run the thread until cancelled. It writes what waits, and ends."""
        self._is_open = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, self._serve, trio.lowlevel.current_trio_token())
            try:
                await trio.sleep_forever()
            finally:
                self._is_open = False
                self._waiting.put(None)

    async def append(self, part: bytes) -> bool:
        """Append a signal, given as JSON. Whether it is on disk and will be imported now; if not, it may be in the outbox all the same, so
        store it elsewhere under the same id.
        """
        if not self._is_open or part.count(b"[") + part.count(b"{") > _DEEPEST:
            return False
        waiter = _Waiter(part)
        self._waiting.put(waiter)
        stored: bool = await trio.lowlevel.wait_task_rescheduled(waiter.abandon)
        return stored

    async def imported(self) -> None:
        """Wait until what was appended is in the journal, so that what is stored now comes after it."""
        if position := outbox.unconfirmed(self._folder):
            await self._importer.reach(*position, os.geteuid())

    def _serve(self, token: trio.lowlevel.TrioToken) -> None:
        while group := self._next_group():
            stored = self._write([each.part for each in group])
            token.run_sync_soon(_reply_all, group, stored)

    def _next_group(self) -> list[_Waiter]:
        """All signals that wait, at least one, as far as a record has room; none when it is time to end."""
        group: list[_Waiter] = []
        size = 0
        while size < _FULL and not (group and self._waiting.empty()):
            waiter = self._waiting.get()
            if waiter is None:
                if group:
                    self._waiting.put(None)
                break
            group.append(waiter)
            size += len(waiter.part)
        return group

    def _write(self, parts: list[bytes]) -> bool:
        try:
            outbox.append(self._folder, array_of(parts), _PATIENCE, synced=True, only="taken")
        except OSError:  # the importer takes nothing now, or there is no room, or the sync failed
            return False
        return True


def _reply_all(waiters: Sequence[_Waiter], stored: bool) -> None:  # noqa: FBT001 - called by trio, without names
    for waiter in waiters:
        if waiter.task is not None:
            trio.lowlevel.reschedule(waiter.task, outcome.Value(stored))
