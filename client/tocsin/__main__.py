"""`python -m tocsin` is the command."""

from __future__ import annotations

import os
import signal
import sys

_IS_DEFAULT = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _IS_DEFAULT:  # Ctrl-C while the rest is loaded: exit without a traceback
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from .cli import main  # noqa: E402 - see above

if _IS_DEFAULT:
    signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
