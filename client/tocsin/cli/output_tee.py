"""Passes a command's output on, byte for byte and at once, and keeps its last lines.

When the command ends while a background process of its own still holds its output open, `tocsin run` exits as the command would, and a
forked child goes on passing the output on.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import time
from typing import IO, Self

from tocsin.text_tail import tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_CHUNK = 65536
_MOST_BYTES = 3000  # of the last lines: a message has 4,096 characters, including the title
_MOST_SHOWN = 3500  # characters: the room that a message has beside title, fields and footer
_PAUSE = 0.02  # seconds without output after which all output of the ended command has been read
_LINGER = 1.0  # seconds that reading it may take; output after that is from a background process


class Tail:
    """The last lines of an output."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._held = b""

    def add(self, chunk: bytes) -> None:
        """Add output, and discard the oldest beyond the limit."""
        self._held = (self._held + chunk)[-_MOST_BYTES:]

    def text(self) -> str:
        """The last lines; the first of them may be cut."""
        lines = self._held.decode("utf-8", "replace").rstrip().splitlines()
        return tail("\n".join(lines[-self._lines :]), _MOST_SHOWN) if self._lines else ""


class Streams:
    """The command's stdout and stderr, passed on to those of this process."""

    def __init__(self, process: subprocess.Popen[bytes], wakeup: int, tail: Tail) -> None:
        self._tail = tail
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._selector.register(wakeup, selectors.EVENT_READ)
        for source, sink in ((process.stdout, 1), (process.stderr, 2)):
            assert source is not None
            self._selector.register(source, selectors.EVENT_READ, (source, sink))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self._selector.get_map().values():
            if key.data:  # closed and not unregistered: the forked child shares the selector
                key.data[0].close()
        self._selector.close()

    def pump(self, timeout: float | None) -> bool:
        """Pass available output on; wait `timeout` seconds for it, or for a signal. False when neither came."""
        ready = self._selector.select(timeout)
        for key, _ in ready:
            if key.data:
                self._pass_on(*key.data)
            else:
                os.read(self._wakeup, _CHUNK)
        return bool(ready)

    def finish(self) -> None:
        """Pass the remaining output on. Where a background process holds the streams open, a forked child goes on."""
        end = time.monotonic() + _LINGER
        while self._open() and time.monotonic() < end and self.pump(_PAUSE):
            pass
        if self._open() and os.fork() == 0:
            try:
                for number in PASSED_ON:  # the command has ended
                    signal.signal(number, signal.SIG_DFL)
                while self._open():
                    self.pump(None)
            finally:
                os._exit(0)

    def _open(self) -> bool:
        return len(self._selector.get_map()) > 1

    def _pass_on(self, source: IO[bytes], sink: int) -> None:
        chunk = source.read(_CHUNK)
        self._tail.add(chunk)
        if not chunk or not _written(sink, chunk):
            self._close(source, sink)

    def _close(self, source: IO[bytes], _: int) -> None:
        """Close the pipe: a process that still writes to it gets EPIPE, as it would from the reader of this process."""
        self._selector.unregister(source)
        source.close()


def _written(sink: int, chunk: bytes) -> bool:
    left = memoryview(chunk)
    while left:
        try:
            left = left[os.write(sink, left) :]
        except BlockingIOError:  # another process that shares the descriptor has made it non-blocking
            select.select([], [sink], [])
        except OSError:
            return False
    return True
