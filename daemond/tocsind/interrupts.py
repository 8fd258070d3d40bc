"""An interrupt (Ctrl-C) while a program is still being loaded ends it quietly, with 130.

Loading takes longer than a person needs to change his mind, and Python's answer to an interrupt there is a traceback. The handler that
raises KeyboardInterrupt comes back when there is somebody to catch it. An interrupt that is ignored (nohup, a shell's background job)
stays so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

INTERRUPTED = 130


def quiet() -> None:
    """From now on an interrupt ends the process at once."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def guarded(main: Callable[[], int]) -> int:
    """Run a program that catches most interrupts by itself. Its exit code, with which a later interrupt, too, ends the process."""
    try:
        if signal.getsignal(signal.SIGINT) is _leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: os._exit(code))
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)
