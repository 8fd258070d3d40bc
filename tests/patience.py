"""Clients in the process of a test wait as long as a busy machine may need. A test of a time limit names its own.

The default limits are a quarter of a second for a hand-off, and two seconds for a flush: a collection of garbage, or other tests, can
take as long, and then a signal is in the spool that the test expects at the daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from tocsin import Handler, at_exit, client, expectation
from tocsin.background import WorkQueue
from tocsin.compat import health
from tocsin.compat import send as compat_send

SECONDS = (
    20.0  # more than a stall of a busy machine takes, less than PATIENCE, in which a test has to wait for one of them
)


def be_patient() -> None:
    """Raise the default time limits of this process's clients."""
    _set_default(client.Client.__init__, "timeout")
    _set_default(Handler.__init__, "timeout")
    _set_default(expectation.expect, "timeout")
    _set_default(expectation.Expectation.__init__, "timeout")
    _set_default(WorkQueue.flush, "seconds")
    client._process_wide.timeout = SECONDS
    compat_send._client.timeout = SECONDS
    health.TIMEOUT = SECONDS
    at_exit.FLUSH_SECONDS = SECONDS


def _set_default(function: Callable[..., Any], name: str) -> None:
    by_keyword, by_position = function.__kwdefaults__ or {}, function.__defaults__ or ()
    if name in by_keyword:
        by_keyword[name] = SECONDS
        return
    names = [each.name for each in signature(function).parameters.values() if each.default is not each.empty]
    pairs = zip(names, by_position, strict=False)
    function.__defaults__ = tuple(SECONDS if each == name else default for each, default in pairs)
