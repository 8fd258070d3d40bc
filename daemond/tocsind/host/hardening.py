"""Process limits: private files, many file descriptors, and memory that no other process may read, since it holds every webhook."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
from contextlib import suppress

_MOST_FILES = 65536
_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


def harden() -> None:
    """Apply all limits, once, at the start. A limit that the system does not permit is left as it is."""
    os.umask(0o077)
    _open_many_files()
    _keep_memory_private()
    faulthandler.enable()  # on the watchdog's SIGABRT, prints where each thread is: places in code, no values


def descriptors() -> int:
    """The number of file descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if soft == resource.RLIM_INFINITY else soft


def _open_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with suppress(OSError, ValueError):  # a sandbox may forbid it; its own limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def _keep_memory_private() -> None:
    """No core dump. The limit alone does not stop one that is piped to a collector; not being dumpable does, and it also keeps other
    programs of the same user from reading this process's memory and environment in /proc.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
