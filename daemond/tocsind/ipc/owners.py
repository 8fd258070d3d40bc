"""Whose bounds a connection counts against.

A user who may make user namespaces has 65,536 uids more, his subordinate ones (/etc/subuid). Bounds by uid alone would give each of them a
share of its own, so all uids of one range are one owner. Names are not looked up: that may ask a directory server, and block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SUBUID = Path("/etc/subuid")

Owner = int | str  # a uid, or the user to whom a range of subordinate uids belongs, as /etc/subuid names him


class _Range(NamedTuple):
    user: str
    first: int
    end: int


class Owners:
    """Owners by uid. Reads `subuid` when it has changed."""

    def __init__(self, subuid: Path = SUBUID, own: int | None = None) -> None:
        self._subuid = subuid
        self._own = os.geteuid() if own is None else own
        self._read: tuple[int, int] | None = None  # inode and time of what was read
        self._ranges: list[_Range] = []

    def owner(self, uid: int) -> Owner:
        """The owner of a uid."""
        self._refresh()
        return next((each.user for each in self._ranges if each.first <= uid < each.end), uid)

    def is_privileged(self, uid: int) -> bool:
        """Whether it is root or the daemon's own user, for whom connections are kept."""
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
    """`user:first:count` a line; lines of another shape are skipped."""
    for line in text.splitlines():
        user, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if user and first.isascii() and first.isdecimal() and count.isascii() and count.isdecimal():
            yield _Range(f"subuid:{user}", int(first), int(first) + int(count))
