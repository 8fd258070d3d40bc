"""What `tocsin send` reads from stdin: to its end, so that the writer is never stopped by a broken pipe, and in bounded memory."""

from __future__ import annotations

import sys

from .exits import UNREADABLE, Failure
from .output import note

_BODY = 4096  # characters that a body holds
_CUT = "…"  # at its beginning: the end is what counts, and a renderer that must cut again cuts the beginning
_CHUNK = 64 * 1024  # bytes that are held of each end, more than a body's characters take


class Text:
    """What stdin held: all of it, or its beginning and its end. The writer is never stopped by a broken pipe."""

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self._head = head
        self._tail = tail
        self._size = size

    def first_line(self) -> str:
        """The first line that says something."""
        return self._head.decode("utf-8", "replace").strip().partition("\n")[0]

    def ending(self, *, after_first_line: bool = False) -> str:
        """The text, or as much of its end as a body holds: where a program's output was cut, its error stands there."""
        text = (self._tail if self._size > len(self._tail) else self._head).decode("utf-8", "replace")
        if after_first_line and self._size <= len(self._tail):
            text = text.strip().partition("\n")[2].strip("\n")
        if len(text) <= _BODY and self._size <= len(self._tail):
            return text
        note(f"the body was cut: stdin held {self._size} bytes, and the last {_BODY} characters are kept")
        return _CUT + text[1 - _BODY :]


def read_stdin() -> Text:
    """stdin, read to its end in bounded memory. Blocks until the writer is done. Raises Failure."""
    if sys.stdin is None:
        raise Failure(UNREADABLE, "unreadable", "stdin is closed", id=None, state="refused")
    head, tail, size = b"", b"", 0
    try:
        while chunk := sys.stdin.buffer.read(_CHUNK):
            head += chunk[: _CHUNK - len(head)]
            tail = (tail + chunk)[-_CHUNK:]
            size += len(chunk)
    except OSError as error:
        raise Failure(
            UNREADABLE, "unreadable", f"cannot read stdin: {error.strerror}", id=None, state="refused"
        ) from error
    return Text(head, tail, size)
