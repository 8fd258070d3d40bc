"""A thread that writes log lines, so a log without a reader blocks nothing.

Standard error may be a terminal that was stopped with Ctrl-S, or a pipe whose reader sleeps: a write there blocks forever, and on the event
loop it would delay every delivery and every signal. So lines wait in memory, at most BUFFER bytes of them. Further lines are dropped and
counted, and once there is room again a line says how many are missing. `close` waits for the rest, with a deadline.

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

BUFFER = 256 * 2**10  # bytes of waiting lines: more than a thousand lines
FLUSH = 1.0  # seconds that the process waits for its log before it ends
_MAX_WRITE = 64 * 2**10  # bytes of one write; a failed write loses no more
_RETRY_SECONDS = 1.0  # between two writes that fail

Write = Callable[[bytes], None]  # writes all of its bytes; may block; raises OSError


class _Gap:
    """A place where lines are missing."""

    def __init__(self, lines: int) -> None:
        self.lines = lines


class LogWriter:
    """Writes lines with `write`, in order. `describe` makes the line that says how many are missing. Any thread may use it."""

    def __init__(self, write: Write, describe: Callable[[int], str], most: int = BUFFER) -> None:
        self.dropped = 0  # lines, since the start
        self._write = write
        self._describe = describe
        self._most = most
        self._waiting: deque[bytes | _Gap] = deque()
        self._size = 0  # bytes of waiting lines
        self._changed = threading.Condition()
        self._writing = False
        self._failing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        """Queue a line, without its line feed, or drop it. Does not block."""
        encoded = f"{line}\n".encode(errors="backslashreplace")
        with self._changed:
            if self._closed or self._size + len(encoded) > self._most:
                self._note_missing(1, at_end=True)
            else:
                self._waiting.append(encoded)
                self._size += len(encoded)
            self._failing = False  # the next write may succeed
            self._changed.notify_all()
        self._start()

    def close(self, seconds: float = FLUSH) -> None:
        """Wait at most so long until all lines are written. Later lines are dropped. Blocks."""
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
        """Count dropped lines, and leave a gap at their place."""
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
            thread = threading.Thread(target=self._run, name="log", daemon=True)  # it may block forever
            with suppress(RuntimeError):  # at the end of the interpreter
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while (some := self._next()) is not None:
            try:
                self._write(b"".join(self._rendered(each) for each in some))
            except (OSError, ValueError):  # a full disk, a closed pipe
                self._failed(some)
                time.sleep(_RETRY_SECONDS)
            else:
                self._finished()

    def _next(self) -> list[bytes | _Gap] | None:
        """The lines of one write; None at the end."""
        with self._changed:
            while not self._has_work():
                if self._closed:
                    return None
                self._changed.wait()
            some: list[bytes | _Gap] = []
            size = 0
            while self._waiting and size < _MAX_WRITE:
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
        """Count the lines of a failed write as dropped; the next line starts another write."""
        with self._changed:
            known = sum(each.lines for each in some if isinstance(each, _Gap))
            self.dropped -= known  # they were counted before, and are counted again below
            self._note_missing(known + sum(isinstance(each, bytes) for each in some), at_end=False)
            self._failing = True
            self._writing = False
            self._changed.notify_all()


def to_descriptor(number: int) -> Write:
    """A function that writes to a file descriptor, in blocking mode or not."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(number, rest) :]
            except BlockingIOError:  # another process that shares it made it non-blocking
                poll = select.poll()
                poll.register(number, select.POLLOUT)
                poll.poll()

    return write
