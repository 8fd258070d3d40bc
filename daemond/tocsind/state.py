"""The state folder: ours alone, by a lock that the kernel lets go of when we die."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CannotWrite, StateLocked

LOCK_NAME = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The state folder, made if need be, locked. Raises StateLocked when another daemon has it, CannotWrite when it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotWrite(f"the state folder {folder} cannot be used: {error.strerror or error}") from error
    try:
        _take(lock, folder)
        yield folder
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StateLocked(
            f"another tocsind (pid {holder}) serves the state folder {folder}; it was left alone"
        ) from None
    with suppress(OSError):  # a full disk: the lock holds without the number
        written = os.pwrite(
            lock, f"{os.getpid()}\n".encode(), 0
        )  # before it is cut: the space that the file has is enough
        os.ftruncate(lock, written)
