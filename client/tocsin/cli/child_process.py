"""A command that runs below us as if we were not there.

Its standard input is ours, its output comes through two pipes (`streams`), and signals that are meant for it are passed on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import NamedTuple

from .output_tee import PASSED_ON, Streams, Tail

NOT_FOUND, CANNOT_RUN = 127, 126  # as every shell has it
_FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


class Ending(NamedTuple):
    """How it ended: the code we leave with, in words, after how long, its last lines, and why it could not even start."""

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
        for number in PASSED_ON:
            # what is ignored, as by nohup, is to be ignored by the command as well, and that it inherits
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _: object) -> None:
        if number in _FROM_THE_KEYBOARD and _in_the_foreground():
            return  # the terminal has told it already, and twice means something else to many programs
        if self._process is None:
            self._missed.append(number)
        else:
            self._process.send_signal(number)


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
