"""A command's output on its way to ours: passed on at once, byte for byte, and the end of it remembered.

Should something that the command left in the background still hold its output when it ends, we leave as the command would have, and a
child of ours stays behind to carry on.
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
_MOST_BYTES = 3000  # of the last lines: a message has 4,096 characters, and the title is among them
_MOST_SHOWN = 3500  # of what a message has room for beside title, fields and footer
_PAUSE = 0.02  # seconds of silence after which what the command wrote before it ended has all been read
_LINGER = 1.0  # seconds that this may take; who still writes then is somebody else


class Tail:
    """The last lines of what passes by."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._held = b""

    def add(self, chunk: bytes) -> None:
        """Remember the end of this, and forget what is too old for it."""
        self._held = (self._held + chunk)[-_MOST_BYTES:]

    def text(self) -> str:
        """The last lines; the first of them may be cut."""
        said = self._held.decode("utf-8", "replace").rstrip().splitlines()
        return tail("\n".join(said[-self._lines :]), _MOST_SHOWN) if self._lines else ""


class Streams:
    """The command's output, on its way to ours."""

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
            if key.data:  # closed and not unregistered: who stayed behind has the same selector
                key.data[0].close()
        self._selector.close()

    def pump(self, timeout: float | None) -> bool:
        """Pass on what is there; wait for it, or for a signal, so long. Whether there was anything."""
        ready = self._selector.select(timeout)
        for key, _ in ready:
            if key.data:
                self._pass_on(*key.data)
            else:
                os.read(self._wakeup, _CHUNK)
        return bool(ready)

    def finish(self) -> None:
        """Pass on what is left. Where something in the background holds the streams open, a child of ours stays for it."""
        end = time.monotonic() + _LINGER
        while self._open() and time.monotonic() < end and self.pump(_PAUSE):
            pass
        if self._open() and os.fork() == 0:
            try:
                for number in PASSED_ON:  # they are for the command, which has gone
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
        """Whoever writes there now is told as it would be by our own reader: by a broken pipe."""
        self._selector.unregister(source)
        source.close()


def _written(sink: int, chunk: bytes) -> bool:
    left = memoryview(chunk)
    while left:
        try:
            left = left[os.write(sink, left) :]
        except BlockingIOError:  # whoever shares it with us made it so
            select.select([], [sink], [])
        except OSError:
            return False
    return True
