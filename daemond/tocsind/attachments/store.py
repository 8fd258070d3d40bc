"""`attachments` below the state folder: a file a signal, named by its id. Plain system calls: run them in a thread."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tocsin import trust
from tocsin.attachments import FOLDER
from tocsin.spool import open_folder, write

MAX_BYTES = 1024**3  # bytes of them all; what comes then goes without, which a backlog of charts may well do


class StoredFile(NamedTuple):
    """One file: the id of its signal, its bytes, and when it was taken over (wall-clock seconds)."""

    id: str
    size: int
    since: float


class Store:
    """The files that are kept. `held` is how many bytes they have, as far as this process knows."""

    def __init__(self, state: Path) -> None:
        self.path = state / FOLDER
        self.files = 0
        self.total_bytes = 0

    def save(self, id_: str, content: bytes) -> None:
        """Put a signal's file on disk, synced; the first to come under an id stays. Raises OSError."""
        if self.total_bytes + len(content) > MAX_BYTES:
            raise OSError(errno.ENOSPC, f"{self.total_bytes // 2**20} MiB of attachments wait already")
        place = open_folder(str(self.path))
        try:
            with contextlib.suppress(FileNotFoundError):
                os.stat(id_, dir_fd=place, follow_symlinks=False)
                return
            write(place, id_, content, os.fstat(place))
            self.files += 1
            self.total_bytes += len(content)
        finally:
            os.close(place)

    def read(self, id_: str) -> bytes | None:
        """A signal's file; None when it is gone."""
        try:
            place = trust.open_folder(str(self.path))
            try:
                file = trust.open_file(id_, dir_fd=place, follow=False)
            finally:
                os.close(place)
            with os.fdopen(file, "rb") as opened:
                return opened.read()
        except OSError:
            return None

    def size(self, id_: str) -> int:
        """Bytes of a signal's file; none when it is gone."""
        try:
            return (self.path / id_).lstat().st_size
        except OSError:
            return 0

    def listing(self) -> list[StoredFile]:
        """All of them, oldest first by their ids, and counted afresh; halves that a crash left among them."""
        try:
            with os.scandir(self.path) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            found = []  # there is no folder yet; or the disk is ill, and the journal beside it will say so
        self.files, self.total_bytes = len(found), sum(status.st_size for _, status in found)
        return sorted(StoredFile(name, status.st_size, status.st_mtime) for name, status in found)

    def delete(self, kept: Iterable[StoredFile]) -> None:
        """Delete files."""
        for each in kept:
            with contextlib.suppress(OSError):
                (self.path / each.id).unlink()
                self.files -= 1
                self.total_bytes -= each.size
