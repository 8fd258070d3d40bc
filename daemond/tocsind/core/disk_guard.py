"""Whether the daemon accepts signals: not while less of the disk is free than the reserve, which is kept for outcomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tocsind.errors import StorageFull, StorageLost
from tocsind.events import Emit, IntakeClosed, IntakeOpened
from tocsind.journal import RESERVE, Journal, commit_mark

from .active_config import ActiveConfig


class DiskGuard:
    """Open, or `closed` with the reason. `folder` holds the journal. `on_change` is called when the guard closes or opens."""

    def __init__(self, journal: Journal, config: ActiveConfig, folder: Path, emit: Emit) -> None:
        self.closed: str | None = None
        self.on_change: Callable[[], None] = lambda: None
        self._needs_write = False  # a write failed: free space does not open the guard, a write that succeeds does
        self._journal = journal
        self._config = config
        self._folder = folder
        self._emit = emit

    def free_bytes(self) -> int:
        """Free space for an unprivileged process. Raises StorageLost when the state folder does not exist."""
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            raise StorageLost(f"the state folder {self._folder} is gone: {error.strerror}") from error
        return disk.f_bavail * disk.f_frsize

    def spare_bytes(self) -> int:
        """Free space beyond the reserve; negative below it."""
        return self.free_bytes() - self._reserve

    def check(self) -> None:
        """Close below the reserve, open above it. Signals that are stored already may use the reserve to be settled."""
        if self._journal.is_full:
            self._close("the disk is full, and outcomes are written to the space that was kept for them")
            return
        free = self.free_bytes()
        if free < self._reserve:
            self._close(
                f"{free / 2**20:.1f} MiB of disk are free and {self._reserve / 2**20:.1f} MiB are kept in reserve"
            )
        elif self.closed and not self._needs_write:
            self.closed = None
            self._emit(IntakeOpened())
            self.on_change()

    async def maintain(self) -> None:
        """Check that the journal's files exist, allocate its reserve when there is room, try a write after a failed one, and `check`.

        Raises StorageLost.
        """
        self._journal.check_files()
        self.check()
        if not self._journal.holds_reserve and self.spare_bytes() >= RESERVE:
            await self._journal.hold_reserve()
        if self._needs_write and not self._journal.is_full:
            with suppress(StorageFull):
                await self._journal.run(commit_mark.write_test)
                self._needs_write = False
        self.check()

    async def make_room(self) -> None:
        """`maintain`, and shrink the journal's file where that may open a closed guard."""
        await self.maintain()
        if self.closed and not self._journal.is_full:
            await self._journal.shrink()
            await self.maintain()

    def close_until_written(self, reason: str) -> None:
        """A write failed, whatever the disk says of its free space (a quota, inodes): close until a write succeeds."""
        self._needs_write = True
        self._close(reason)

    @property
    def _reserve(self) -> int:
        return self._config.current.daemon.reserve

    def _close(self, reason: str) -> None:
        was_open, self.closed = self.closed is None, reason
        if was_open:
            self._emit(IntakeClosed(reason))
            self.on_change()
