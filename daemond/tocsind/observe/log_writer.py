"""Writes log lines on a thread of their own, so that a log that nobody reads stops nothing.

Standard error may be a terminal that somebody stopped with Ctrl-S, or a pipe whose reader sleeps: a write there waits for ever, and on the
event loop it would hold up every delivery and every signal. So lines wait here, at most BUFFER bytes of them. Beyond that they are dropped
and counted, and once there is room again a line says how many are missing. `close` waits for what is left, but not for ever.

The thread writes to the file descriptor and never to `sys.stderr`, whose lock it would hold when the interpreter ends.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

BUFFER = 256 * 2**10  # bytes of lines that wait: more than a thousand of them
FLUSH = 1.0  # seconds that the end of the process waits for lines to be read
_AT_ONCE = 64 * 2**10  # bytes of one write, so that little is lost with one that fails
_AGAIN = 1.0  # seconds between two writes that fail

Write = Callable[[bytes], None]  # writes all of it, may block, raises OSError


class _Gap:
    """Where lines are missing."""

    def __init__(self, lines: int) -> None:
        self.lines = lines


class LogWriter:
    """Lines to `write`, in order. `describe` makes the line that says how many are missing. For any thread."""

    def __init__(self, write: Write, describe: Callable[[int], str], most: int = BUFFER) -> None:
        self.dropped = 0  # lines, since the start
        self._write = write
        self._describe = describe
        self._most = most
        self._waiting: deque[bytes | _Gap] = deque()
        self._size = 0  # bytes that wait
        self._changed = threading.Condition()
        self._writing = False
        self._failing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        """Write a line, which has no line feed yet, soon; or drop it. Does not block."""
        encoded = f"{line}\n".encode(errors="backslashreplace")
        with self._changed:
            if self._closed or self._size + len(encoded) > self._most:
                self._note_missing(1, at_end=True)
            else:
                self._waiting.append(encoded)
                self._size += len(encoded)
            self._failing = False  # it is worth another try
            self._changed.notify_all()
        self._start()

    def close(self, seconds: float = FLUSH) -> None:
        """Wait until all lines are written, so long at most. Later lines are dropped."""
        end = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while self._has_work() or self._writing:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return

    def _has_work(self) -> bool:
        return bool(self._waiting) and not self._failing

    def _note_missing(self, lines: int, *, at_end: bool) -> None:
        """Lines are dropped; where they would stand, a line will say so."""
        self.dropped += lines
        neighbour = self._waiting[-1 if at_end else 0] if self._waiting else None
        if isinstance(neighbour, _Gap):
            neighbour.lines += lines
        elif at_end:
            self._waiting.append(_Gap(lines))
        else:
            self._waiting.appendleft(_Gap(lines))

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log", daemon=True)  # it may wait for a reader for ever
            with suppress(RuntimeError):  # the interpreter ends
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while (some := self._next()) is not None:
            try:
                self._write(b"".join(self._rendered(each) for each in some))
            except (OSError, ValueError):  # a full disk, a closed pipe
                self._failed(some)
                time.sleep(_AGAIN)
            else:
                self._finished()

    def _next(self) -> list[bytes | _Gap] | None:
        """What goes into one write; None at the end."""
        with self._changed:
            while not self._has_work():
                if self._closed:
                    return None
                self._changed.wait()
            some: list[bytes | _Gap] = []
            size = 0
            while self._waiting and size < _AT_ONCE:
                each = self._waiting.popleft()
                some.append(each)
                size += len(each) if isinstance(each, bytes) else 0
            self._size -= size
            self._writing = True
            return some

    def _rendered(self, each: bytes | _Gap) -> bytes:
        return each if isinstance(each, bytes) else f"{self._describe(each.lines)}\n".encode()

    def _finished(self) -> None:
        with self._changed:
            self._writing = False
            self._changed.notify_all()

    def _failed(self, some: Sequence[bytes | _Gap]) -> None:
        """What could not be written is missing; it is tried again with the next line."""
        with self._changed:
            known = sum(each.lines for each in some if isinstance(each, _Gap))
            self.dropped -= known  # counted before, and once more below
            self._note_missing(known + sum(isinstance(each, bytes) for each in some), at_end=False)
            self._failing = True
            self._writing = False
            self._changed.notify_all()


def to_descriptor(number: int) -> Write:
    """What writes to a file descriptor, in blocking mode or not."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(number, rest) :]
            except BlockingIOError:  # whoever shares it with us made it so
                poll = select.poll()
                poll.register(number, select.POLLOUT)
                poll.poll()

    return write
