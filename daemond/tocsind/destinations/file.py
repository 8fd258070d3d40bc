"""A file of JSON lines: the destination that works when nothing else does.

A batch is one write and one sync. The file is opened for each batch, so a file that was rotated away is simply created again, and no
descriptor stays open. Lines never merge: a last line that a crash left unfinished is ended first. A batch is never doubled: when it cannot
be written and synced in full, the file is truncated to where the batch began, unless another writer appended after it.

Another user's file, a FIFO, a device and the target of a stranger's link are refused (tocsin.trust): otherwise root's daemon would append
text that any user may send to any file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from tocsin import disk_errors, trust
from tocsind.clock import Clock, SystemClock
from tocsind.config.reserved_paths import own_name
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Outcome, Refused, Report
from tocsind.rendering import json_line


class FileDestination:
    """Appends to the file at `path`; creates it, private, with its folders, when it is missing."""

    max_items: Final = 64  # lines a sync; a sync costs about as much for one as for all of them
    max_chars: Final = inf
    editing: Final = Editing.NONE
    repeatable: Final = False
    max_bytes: Final = inf  # a line names the attachment, no more

    def __init__(self, path: Path, state: Path | None = None, clock: Clock | None = None) -> None:
        self._path = path
        self._state = state
        self._clock = clock or SystemClock()

    def footprint(self, delivery: Delivery) -> Footprint:
        return Footprint(max_batch=delivery.max_batch)

    async def discover(self) -> ChannelInfo:
        """Refuse the daemon's own files. Links may lead to them, so only the disk can tell, not the configuration."""
        name = own_name(str(self._path), self._state) if self._state else None
        return (
            ChannelInfo(problem=Refused(f"{self._path} is tocsin's own {name}", disable=True))
            if name
            else ChannelInfo()
        )

    async def check(self) -> ChannelInfo:
        """As `discover`: whether the file can be written, the plain check has said."""
        return await self.discover()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        lines = b"".join(self._lines(batch))
        # Not abandoned on cancellation: the outcome of a started write matters, and a disk answers.
        outcome = await trio.to_thread.run_sync(_append, self._path, lines)
        return Report((outcome,) * len(batch))

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return {
            "payload": {"lines": [msgspec.json.decode(line) for line in self._lines(batch)]},
            "limits": [],
            "notes": [],
        }

    async def aclose(self) -> None:
        """Do nothing: no file stays open."""

    def _lines(self, batch: Sequence[Delivery]) -> list[bytes]:
        wall = self._clock.wall()
        return [json_line(delivery, wall) for delivery in batch]


def _append(path: Path, lines: bytes) -> Outcome:
    try:
        descriptor = _open(path)
    except OSError as error:
        return _deferred(path, error)
    try:
        return _append_to(descriptor, path, lines)
    finally:
        os.close(descriptor)


def _append_to(descriptor: int, path: Path, lines: bytes) -> Outcome:
    start = os.fstat(descriptor).st_size
    written = 0
    try:
        if start and os.pread(descriptor, 1, start - 1) != b"\n":
            lines = b"\n" + lines
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError as error:
        return _deferred(path, error, ambiguous=not _truncate_back(descriptor, start, written))
    return Delivered()


def _truncate_back(descriptor: int, start: int, written: int) -> bool:
    """Remove what was written of the batch; whether none of it is left in the file."""
    try:
        if os.fstat(descriptor).st_size == start + written:  # else another writer's lines follow
            os.ftruncate(descriptor, start)
            return True
    except OSError:
        return False
    return written == 0


def _deferred(path: Path, error: OSError, *, ambiguous: bool = False) -> Deferred:
    # Only the system's error text and the file's name: messages must not show whole paths.
    return Deferred(f"{path.name}: {disk_errors.reason(error, str(path.parent))}", ambiguous=ambiguous)


def _open(path: Path) -> int:
    """Open or create the file: a regular file of this user or root, by no other user's link. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND
    try:
        return trust.open_file(str(path), flags)
    except FileNotFoundError:
        trust.make_folder(str(path.parent))
        descriptor = trust.open_file(str(path), flags | os.O_CREAT)
        trust.sync_folder(str(path.parent))
    return descriptor
