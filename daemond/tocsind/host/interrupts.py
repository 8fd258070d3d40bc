"""An interrupt (Ctrl-C) while a program is still being loaded ends it quietly, with 130.

Loading takes longer than a person needs to change his mind, and Python's answer to an interrupt there is a traceback. The handler that
raises KeyboardInterrupt comes back when there is somebody to catch it. An interrupt that is ignored (nohup, a shell's background job)
stays so.

One that comes while Python runs a weak reference's callback (each import does) or a finalizer has nobody to catch it there: Python would
print a traceback and go on. It is raised again a moment later.
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
    """From now on an interrupt ends the process at once."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def run_interruptible(main: Callable[[], int]) -> int:
    """Run a program that catches most interrupts by itself. Its exit code, with which a later interrupt, too, ends the process."""
    try:
        if signal.getsignal(signal.SIGINT) is _leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = _unraisable
        code = main()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


def _unraisable(raised: UnraisableHookArgs, /) -> None:
    if raised.exc_type is KeyboardInterrupt:
        start_new_thread(_interrupt_later, (get_ident(),))
    else:
        sys.__unraisablehook__(raised)


def _interrupt_later(thread: int) -> None:
    time.sleep(_MOMENT)
    signal.pthread_kill(thread, signal.SIGINT)
