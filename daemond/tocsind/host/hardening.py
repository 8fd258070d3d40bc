"""What the process permits itself: private files, many of them, and nothing of its memory for anybody, since that holds every webhook."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
from contextlib import suppress

_MOST_FILES = 65536
_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def harden() -> None:
    """Once, at the start. What the machine does not permit is left as it is."""
    os.umask(0o077)
    _open_many_files()
    _keep_memory_private()
    faulthandler.enable()  # where each thread stands when the watchdog aborts us: places in code, no values


def descriptors() -> int:
    """How many file descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft


def _open_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with suppress(OSError, ValueError):  # a sandbox may forbid it, and has set what it wants
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def _keep_memory_private() -> None:
    """No core dump. The limit alone does not stop one that is piped to a collector; not being dumpable does, and it also keeps other
    programs of the same user from reading our memory and environment in /proc.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
