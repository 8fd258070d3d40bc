"""The owner of a connection: the user whose limits it counts against.

A user who may make user namespaces has 65,536 subordinate uids (/etc/subuid). Limits by uid would give a share to each of them, so all uids
of one range have one owner. User names are not looked up: that may query a directory server, and block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SUBUID = Path("/etc/subuid")

Owner = int | str  # a uid, or the user of a range of subordinate uids, as /etc/subuid names it


class _Range(NamedTuple):
    user: str
    first: int
    end: int


class Owners:
    """Owners by uid. Reads the file again when it has changed. `own` is the daemon's uid (default: the effective one)."""

    def __init__(self, subuid: Path = SUBUID, own: int | None = None) -> None:
        self._subuid = subuid
        self._own = os.geteuid() if own is None else own
        self._read: tuple[int, int] | None = None  # inode and modification time of the file as read
        self._ranges: list[_Range] = []

    def owner(self, uid: int) -> Owner:
        """The owner of a uid."""
        self._refresh()
        return next((each.user for each in self._ranges if each.first <= uid < each.end), uid)

    def is_privileged(self, uid: int) -> bool:
        """Whether this is root or the daemon's own user, for whom connections are reserved."""
        return uid in (0, self._own)

    def _refresh(self) -> None:
        try:
            found = self._subuid.stat()
            if (found.st_ino, found.st_mtime_ns) != self._read:
                self._ranges = list(_ranges(self._subuid.read_text("utf-8", errors="replace")))
                self._read = found.st_ino, found.st_mtime_ns
        except OSError:
            self._ranges, self._read = [], None


def _ranges(text: str) -> Iterator[_Range]:
    """The ranges in lines of `user:first:count`; other lines are skipped."""
    for line in text.splitlines():
        user, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if user and first.isascii() and first.isdecimal() and count.isascii() and count.isdecimal():
            yield _Range(f"subuid:{user}", int(first), int(first) + int(count))
