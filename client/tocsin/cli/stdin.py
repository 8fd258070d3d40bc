"""Reads the stdin of `tocsin send`: to its end, so that the writer gets no broken pipe, and in bounded memory."""

from __future__ import annotations

import sys

from .exit_codes import UNREADABLE, Failure
from .output import print_note

_TITLE = 256  # characters of a title
_CHUNK = 64 * 1024  # bytes that are kept of the beginning and of the end, more than a body has


class Text:
    """The text of stdin: all of it, or its beginning and its end."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self._head = head
        self._tail = tail
        self._size = size

    def first_line(self) -> str:
        """The first line that is not blank, cut to the length of a title."""
        line = self._first_line()
        return line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"

    def ending(self, *, after_first_line: bool = False) -> str:
        """The text, or as much of its end as fits a body: a program's error message is at the end of its output."""
        from tocsin.text_tail import MARK, MOST, tail  # noqa: PLC0415 - only a body from stdin needs it

        text = self._tail.decode("utf-8", "replace")
        if after_first_line and self._size <= len(self._tail) and len(self._first_line()) <= _TITLE:
            text = text.strip().partition("\n")[2].strip("\n")
        if len(text) <= MOST and self._size <= len(self._tail):
            return tail(text)
        print_note(f"the body was cut to the last {MOST} characters: stdin had {self._size} bytes")
        return MARK + text[1 - MOST :]

    def _first_line(self) -> str:
        return self._head.decode("utf-8", "replace").strip().partition("\n")[0]


def read_stdin() -> Text:
    """Read stdin to its end, in bounded memory. Blocks until the writer closes it. Raises Failure."""
    if sys.stdin is None:
        raise Failure(UNREADABLE, "unreadable", "stdin is closed", id=None, state="refused")
    head, tail, size = b"", b"", 0
    try:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            head = (head + chunk).lstrip()[:_CHUNK]  # the title is the first line that is not blank
            tail = (tail + chunk)[-_CHUNK:]
            size += len(chunk)
    except OSError as error:
        raise Failure(
            UNREADABLE, "unreadable", f"cannot read stdin: {error.strerror}", id=None, state="refused"
        ) from error
    return Text(head, tail, size)
