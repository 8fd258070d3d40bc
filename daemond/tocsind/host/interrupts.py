"""An interrupt (Ctrl-C) while a program is still being loaded ends it quietly, with 130.

Loading takes long enough for a person to press Ctrl-C, and Python would print a traceback then. The handler that raises
KeyboardInterrupt is restored when the program that catches it runs. An ignored interrupt (nohup, a shell's background job) stays ignored.

A KeyboardInterrupt in the callback of a weak reference (each import runs some) or in a finalizer cannot be caught: Python would print a
traceback and go on. So it is raised again a moment later.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from _thread import get_ident, start_new_thread
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130
_MOMENT = 0.01  # s; the callback is over by then


def exit_quietly_on_interrupt() -> None:
    """Let an interrupt end the process at once."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_interrupted)


def run_interruptible(main: Callable[[], int]) -> int:
    """Run a program that handles most interrupts itself; its exit code. A later interrupt ends the process with that code, too."""
    try:
        if signal.getsignal(signal.SIGINT) is _exit_interrupted:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = _unraisable
        code = main()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _exit_interrupted(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


def _unraisable(raised: UnraisableHookArgs, /) -> None:
    if raised.exc_type is KeyboardInterrupt:
        start_new_thread(_interrupt_later, (get_ident(),))
    else:
        sys.__unraisablehook__(raised)


def _interrupt_later(thread: int) -> None:
    time.sleep(_MOMENT)
    signal.pthread_kill(thread, signal.SIGINT)
