"""What `tocsin send` reads from stdin: to its end, so that the writer is never stopped by a broken pipe, and in bounded memory."""

from __future__ import annotations

import sys

from .exit_codes import UNREADABLE, Failure
from .output import print_note

_TITLE = 256  # characters that a title holds
_CHUNK = 64 * 1024  # bytes that are held of each end, more than a body's characters take


class Text:
    """What stdin held: all of it, or its beginning and its end. The writer is never stopped by a broken pipe."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self._head = head
        self._tail = tail
        self._size = size

    def first_line(self) -> str:
        """The first line that says something, or as much of it as a title holds."""
        line = self._first_line()
        return line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"

    def ending(self, *, after_first_line: bool = False) -> str:
        """The text, or as much of its end as a body holds: where a program's output was cut, its error stands there."""
        from tocsin.text_tail import MARK, MOST, tail  # noqa: PLC0415 - only a body from stdin pays for it

        text = self._tail.decode("utf-8", "replace")
        if after_first_line and self._size <= len(self._tail) and len(self._first_line()) <= _TITLE:
            text = text.strip().partition("\n")[2].strip("\n")
        if len(text) <= MOST and self._size <= len(self._tail):
            return tail(text)
        print_note(f"the body was cut: stdin held {self._size} bytes, and the last {MOST} characters are kept")
        return MARK + text[1 - MOST :]

    def _first_line(self) -> str:
        return self._head.decode("utf-8", "replace").strip().partition("\n")[0]


def read_stdin() -> Text:
    """stdin, read to its end in bounded memory. Blocks until the writer is done. Raises Failure."""
    if sys.stdin is None:
        raise Failure(UNREADABLE, "unreadable", "stdin is closed", id=None, state="refused")
    head, tail, size = b"", b"", 0
    try:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            head = (head + chunk).lstrip()[
                :_CHUNK
            ]  # blank lines do not count: the first that says something is a title
            tail = (tail + chunk)[-_CHUNK:]
            size += len(chunk)
    except OSError as error:
        raise Failure(
            UNREADABLE, "unreadable", f"cannot read stdin: {error.strerror}", id=None, state="refused"
        ) from error
    return Text(head, tail, size)
