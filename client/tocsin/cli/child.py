"""A command that runs below us as if we were not there.

Its standard input is ours. Its output comes through two pipes and goes on at once; what we remember of it is bounded. Signals that are
meant for it are passed on. Should something that it left in the background still hold its output when it ends, we leave as it would
have, and a child of ours stays behind to carry on.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import time
from typing import IO, NamedTuple, Self

NOT_FOUND, CANNOT_RUN = 127, 126  # as every shell has it
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)
_FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
_CHUNK = 65536
_MOST_BYTES = 3000  # of the last lines: a message has 4,096 characters, and the title is among them
_PAUSE = 0.02  # seconds of silence after which what the command wrote before it ended has all been read
_LINGER = 1.0  # seconds that this may take; who still writes then is somebody else


class Ending(NamedTuple):
    """How it ended: the code we leave with, in words, after how long, its last lines, and why it could not even start."""

    code: int
    words: str
    seconds: float
    tail: str
    error: str | None = None


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
        return "\n".join(said[-self._lines :]) if self._lines else ""


class Child:
    """One run of one command."""

    def __init__(self, command: list[str], lines: int) -> None:
        self._command = command
        self._tail = Tail(lines)
        self._process: subprocess.Popen[bytes] | None = None
        self._missed: list[int] = []  # signals that came before there was a process to have them

    def run(self) -> Ending:
        """Run it to its end."""
        wakeup = _wakeup()
        self._pass_signals_on()
        started = time.monotonic()
        try:
            process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)  # noqa: S603 - it is the job
        except (OSError, ValueError) as error:
            return _not_started(self._command[0], error)
        self._process = process
        for number in self._missed:
            process.send_signal(number)
        with Streams(process, wakeup, self._tail) as streams:
            while process.poll() is None:
                streams.pump(None)
            seconds = time.monotonic() - started
            streams.finish()
        return Ending(_exit_code(process.returncode), _words(process.returncode), seconds, self._tail.text())

    def _pass_signals_on(self) -> None:
        for number in _PASSED_ON:
            if (
                signal.getsignal(number) is not signal.SIG_IGN
            ):  # nohup's wish is for the command as well, and it inherits it
                signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _: object) -> None:
        if number in _FROM_THE_KEYBOARD and _in_the_foreground():
            return  # the terminal has told it already, and twice means something else to many programs
        if self._process is None:
            self._missed.append(number)
        else:
            self._process.send_signal(number)


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
            for number in _PASSED_ON:
                signal.signal(number, signal.SIG_DFL)
            while self._open():
                self.pump(None)
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


def _wakeup() -> int:
    """A descriptor that becomes readable when a signal comes, the end of a child included."""
    wakeup, waker = os.pipe()
    for end in (wakeup, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # an ignored one would not wake us
    return wakeup


def _not_started(name: str, error: Exception) -> Ending:
    why = getattr(error, "strerror", None) or str(error)
    code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
    return Ending(code, "could not be started", 0.0, "", f"cannot run {name}: {why}")


def _exit_code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned


def _words(returned: int) -> str:
    if returned == 0:
        return "succeeded"
    if returned > 0:
        return f"failed with exit code {returned}"
    try:
        return f"was ended by {signal.Signals(-returned).name}"
    except ValueError:  # real-time signals have no names
        return f"was ended by signal {-returned}"


def _in_the_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches the command without our help."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
