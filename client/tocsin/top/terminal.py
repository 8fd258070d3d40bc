"""Reads keys from a terminal, and restores its state.

The `with` block ends on every way out: a key, an exception, or SIGTERM and SIGHUP, which become SystemExit with 128 + their number. Ctrl-Z
is a key, because the screen must be restored before the process stops. A new window size ends the wait for a key without one.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from types import FrameType
from typing import Any, Self

SUSPEND = "suspend"
_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page-up",
    b"\x1b[6~": "page-down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
}
_LETTERS = {"\r": "enter", "\n": "enter", "\x1b": "escape"}
_ENDS = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """Standard input, key by key, while the `with` block lasts."""

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno()
        self._unread = b""
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._suspend = False

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._keys)
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_wake = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (*_ENDS, signal.SIGWINCH, signal.SIGTSTP):
            self._handlers[number] = signal.signal(number, self._on_signal)
        tty.setcbreak(self._keys)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wake)
        os.close(self._woken)
        os.close(self._wake)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number in _ENDS:
            raise SystemExit(128 + number)
        self._suspend = self._suspend or number == signal.SIGTSTP

    def key(self, seconds: float) -> str | None:
        """The next key by its name (`up`, `enter`, or the letter itself); None after `seconds`, or after a change of the window size."""
        if not self._unread:
            ready, _, _ = select.select([self._keys, self._woken], [], [], max(0.0, seconds))
            if self._woken in ready:
                os.read(self._woken, 4096)
            if self._keys in ready:
                self._unread = os.read(self._keys, 64) or b"q"  # the terminal is gone: quit
        if self._suspend:
            self._suspend = False
            return SUSPEND
        return self._next() if self._unread else None

    def _next(self) -> str:
        known = next((sequence for sequence in _SEQUENCES if self._unread.startswith(sequence)), None)
        if known:
            self._unread = self._unread[len(known) :]
            return _SEQUENCES[known]
        letter, self._unread = self._unread[:1].decode("ascii", "replace"), self._unread[1:]
        if letter == "\x1b" and self._unread[:1] in {b"[", b"O"}:
            self._unread = b""  # a key without a name here
            return "unknown"
        return _LETTERS.get(letter, letter)
