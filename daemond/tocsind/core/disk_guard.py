"""Whether signals are taken at present: not while the disk has less free than the reserve, which is there for outcomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tocsind.errors import StorageLost
from tocsind.events import Emit, IntakeClosed, IntakeOpened


class DiskGuard:
    """Open, or `closed` with the reason. The journal lies in `folder`."""

    def __init__(self, folder: Path, emit: Emit) -> None:
        self.closed: str | None = None
        self.needs_write = (
            False  # a write failed for want of room: free space alone opens nothing, a write that succeeds does
        )
        self.on_change: Callable[[], None] = lambda: None  # called when it was closed or opened
        self._folder = folder
        self._emit = emit

    def free_bytes(self) -> int:
        """Free space for the journal, as far as it may be used without privilege. Raises StorageLost when there is no such folder."""
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            raise StorageLost(f"the state folder {self._folder} is gone: {error.strerror}") from error
        return disk.f_bavail * disk.f_frsize

    def check(self, reserve: int) -> None:
        """Close below the reserve, open above."""
        free = self.free_bytes()
        if free < reserve:
            self.close(f"{free / 2**20:.1f} MiB of disk are free and {reserve / 2**20:.1f} MiB are kept in reserve")
        elif self.closed and not self.needs_write:
            self.closed = None
            self._emit(IntakeOpened())
            self.on_change()

    def close_until_written(self, reason: str) -> None:
        """The journal could not be written, whatever the disk says of its free space (a quota, inodes): closed until it can."""
        self.needs_write = True
        self.close(reason)

    def on_written(self) -> None:
        """The journal could be written: the next check opens."""
        self.needs_write = False

    def close(self, reason: str) -> None:
        """Take no more, until a check finds room."""
        opened, self.closed = self.closed is None, reason
        if opened:
            self._emit(IntakeClosed(reason))
            self.on_change()
