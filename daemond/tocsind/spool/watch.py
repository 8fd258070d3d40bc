"""Waits until something is renamed into a folder, by inotify: two calls of libc are lighter than a library for them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

_MOVED_TO, _DELETE_SELF, _MOVE_SELF = 0x80, 0x400, 0x800
_ONLYDIR, _DONT_FOLLOW = 0x01000000, 0x02000000
_MASK = (
    _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _DONT_FOLLOW
)  # a file that is still being written is nobody's business
_MANY = 65536  # bytes of events, which say nothing that a listing does not


class Watch:
    """Whether the kernel tells us of a folder's changes. Where it cannot (`works` is False), `changed` never returns."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._events: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched = False

    @property
    def works(self) -> bool:
        """Whether `changed` can be relied on."""
        return self._watched

    def on(self, folder: Path) -> None:
        """Watch this folder from now on. Doing so again does no harm, and finds one that was deleted and made anew."""
        number: int = self._libc.inotify_add_watch(self._events, os.fsencode(folder), _MASK)
        self._watched = number >= 0

    async def changed(self) -> None:
        """Return once something has changed since the last return."""
        if self._events < 0:
            await trio.sleep_forever()
        await trio.lowlevel.wait_readable(self._events)
        os.read(self._events, _MANY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events >= 0:
            os.close(self._events)
