"""Warnings of the client library: each text once a process, or each kind once a minute.

A program gets them as warnings of the logger "tocsin". They go to standard error where logging is not configured, and also where the only
handlers are tocsin's own, which ignore the records of tocsin. The command writes to standard error directly (`cli` replaces `write`),
because logging costs more to import than the command.
"""

from __future__ import annotations

import atexit
import sys
from time import monotonic

from .lazy_import import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

WINDOW = 60.0  # seconds in which one kind is written once
_MOST = 100  # texts; a text may name a configuration's content, which changes
_written: set[str] = set()


def once(text: str) -> None:
    """Write a text, unless this process has written it before. Never raises."""
    if text in _written or len(_written) >= _MOST:
        return
    _written.add(text)
    try:
        write(text)
    except Exception:  # noqa: BLE001 - a hand-off must not fail because its warning cannot be written
        return


def rate_limited(kind: str, text: str) -> None:
    """Write a text, unless one of its `kind` was written within WINDOW. The next one states how many were held back. Never raises."""
    now = monotonic()
    until, held_back, _ = _kinds.get(kind, (0.0, 0, ""))
    if now < until or (kind not in _kinds and len(_kinds) >= _MOST):
        if not any(more for _, more, _ in _kinds.values()):
            atexit.register(flush)
        _kinds[kind] = (until or now + WINDOW, held_back + 1, text)
        return
    _kinds[kind] = (now + WINDOW, 0, text)
    _print(f"{text} (and {held_back:,} more like it before)" if held_back else text)


_kinds: dict[
    str, tuple[float, int, str]
] = {}  # of each kind: the end of its window, how many were held back, the last text


def flush() -> None:
    """Write how many were held back; called at exit."""
    for kind, (until, held_back, text) in list(_kinds.items()):
        if held_back:
            _kinds[kind] = (until, 0, text)
            _print(f"{held_back:,} more like it; the last: {text}")


def _print(text: str) -> None:
    try:
        write(text)
    except Exception:  # noqa: BLE001 - a closing interpreter cannot import logging
        if sys.stderr is not None:
            sys.stderr.write(f"{text}\n")


def _log(text: str) -> None:
    logging = lazy("logging")
    logger = logging.getLogger("tocsin")
    logger.warning("%s", text)
    if sys.stderr is not None and logger.isEnabledFor(logging.WARNING) and _has_only_own_handlers(logger):
        sys.stderr.write(f"{text}\n")


def _has_only_own_handlers(logger: logging.Logger | None) -> bool:
    """Whether there are handlers, and all of them are tocsin's."""
    found: list[logging.Handler] = []
    while logger is not None:
        found += logger.handlers
        logger = logger.parent if logger.propagate else None
    return bool(found) and all(type(handler).__module__.partition(".")[0] == "tocsin" for handler in found)


write: Callable[[str], None] = _log
