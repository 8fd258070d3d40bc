"""A child process that behaves as if `tocsin run` were not between it and its caller.

It inherits standard input, its output passes through two pipes (output_tee), and signals that `tocsin run` receives are passed on to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import NamedTuple

from .output_tee import PASSED_ON, Streams, Tail

NOT_FOUND, CANNOT_RUN = 127, 126  # as in a shell
_FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


class Ending(NamedTuple):
    """How the command ended: exit code of `tocsin run`, in words, run time, last lines of output, and why it could not be started."""

    code: int
    words: str
    seconds: float
    tail: str
    error: str | None = None


class Child:
    """One run of one command."""

    def __init__(self, command: list[str], lines: int) -> None:
        self._command = command
        self._tail = Tail(lines)
        self._process: subprocess.Popen[bytes] | None = None
        self._missed: list[int] = []  # signals that came before the process was started

    def run(self) -> Ending:
        """Run the command, and wait for its end."""
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
        for number in PASSED_ON:
            # a signal that is ignored, as under nohup, stays ignored, and the command inherits that
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _: object) -> None:
        if number in _FROM_KEYBOARD and _in_foreground():
            return  # the terminal has sent it to the command, too, and a second one often means something else
        if self._process is None:
            self._missed.append(number)
        else:
            self._process.send_signal(number)


def _wakeup() -> int:
    """A descriptor that becomes readable when a signal arrives, SIGCHLD included."""
    wakeup, waker = os.pipe()
    for end in (wakeup, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # an ignored signal does not write to the descriptor
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


def _in_foreground() -> bool:
    """Whether the terminal sends Ctrl-C to the command itself."""
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
