"""`attachments` below the state folder: one file per signal, named by its id. Blocking system calls: call them in a thread."""

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

MAX_BYTES = 1024**3  # of all files; further signals go without theirs, as in a large backlog of charts


class StoredFile(NamedTuple):
    """One file: the id of its signal, its size in bytes, and when it was taken over (wall-clock seconds)."""

    id: str
    size: int
    since: float


class Store:
    """The stored files. `files` and `total_bytes` count them; `listing` counts afresh."""

    def __init__(self, state: Path) -> None:
        self.path = state / FOLDER
        self.files = 0
        self.total_bytes = 0

    def save(self, id_: str, content: bytes) -> None:
        """Write a signal's file, synced. An existing file of this id stays. Raises OSError."""
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
        """The content of a signal's file; None when there is none."""
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
        """The size of a signal's file in bytes; 0 when there is none."""
        try:
            return (self.path / id_).lstat().st_size
        except OSError:
            return 0

    def listing(self) -> list[StoredFile]:
        """All files, oldest first by their ids, unfinished ones from a crash included; counts them afresh."""
        try:
            with os.scandir(self.path) as entries:
                found = sorted(filter(None, map(_stored, entries)))
        except OSError:
            found = []  # there is no folder yet; or the disk fails, which the journal reports
        self.files, self.total_bytes = len(found), sum(each.size for each in found)
        return found

    def delete(self, kept: Iterable[StoredFile]) -> None:
        """Delete files."""
        for each in kept:
            with contextlib.suppress(OSError):
                (self.path / each.id).unlink()
                self.files -= 1
                self.total_bytes -= each.size


def _stored(entry: os.DirEntry[str]) -> StoredFile | None:
    """A file of the folder; None when it is gone by now."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return StoredFile(entry.name, status.st_size, status.st_mtime)
