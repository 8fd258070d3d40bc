"""What this package has to say to people beside its answers: each sentence once a process, or each kind once a minute.

A program gets it as a warning of the logger "tocsin", which reaches standard error where logging was not set up. So it does where the only
handlers are tocsin's own, for these hand over nothing that tocsin says: that would go round in a circle. The command writes to standard
error itself (`cli` replaces `write`), for logging costs more to import than the command.
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

WINDOW = 60.0  # seconds in which one kind is said once
_MOST = 100  # sentences: texts of configurations are among them, and those may change as often as they like
_said: set[str] = set()


def once(text: str) -> None:
    """Say it, unless it was said before. Never raises."""
    if text in _said or len(_said) >= _MOST:
        return
    _said.add(text)
    try:
        write(text)
    except Exception:  # noqa: BLE001 - no hand-off fails because nobody reads its warnings
        return


def rate_limited(kind: str, text: str) -> None:
    """Say `text`, unless something of its `kind` was said within WINDOW; how many were not is said with the next. Never raises."""
    now = monotonic()
    until, unsaid, _ = _kinds.get(kind, (0.0, 0, ""))
    if now < until or (kind not in _kinds and len(_kinds) >= _MOST):
        if not any(more for _, more, _ in _kinds.values()):
            atexit.register(flush)
        _kinds[kind] = (until or now + WINDOW, unsaid + 1, text)
        return
    _kinds[kind] = (now + WINDOW, 0, text)
    _print(f"{text} (and {unsaid:,} more like it before)" if unsaid else text)


_kinds: dict[str, tuple[float, int, str]] = {}  # until when it is not said again, how often it was not, the last text


def flush() -> None:
    """Say how many were not said: at exit, nothing else comes."""
    for kind, (until, unsaid, text) in list(_kinds.items()):
        if unsaid:
            _kinds[kind] = (until, 0, text)
            _print(f"{unsaid:,} more like it; the last: {text}")


def _print(text: str) -> None:
    try:
        write(text)
    except Exception:  # noqa: BLE001 - an interpreter that is closing imports nothing any more, and standard error may be gone
        if sys.stderr is not None:
            sys.stderr.write(f"{text}\n")


def _log(text: str) -> None:
    logging = lazy("logging")
    logger = logging.getLogger("tocsin")
    logger.warning("%s", text)
    if sys.stderr is not None and logger.isEnabledFor(logging.WARNING) and _only_ours(logger):
        sys.stderr.write(f"{text}\n")


def _only_ours(logger: logging.Logger | None) -> bool:
    """Whether there are handlers, and all of them are tocsin's own."""
    found: list[logging.Handler] = []
    while logger is not None:
        found += logger.handlers
        logger = logger.parent if logger.propagate else None
    return bool(found) and all(type(handler).__module__.partition(".")[0] == "tocsin" for handler in found)


write: Callable[[str], None] = _log
