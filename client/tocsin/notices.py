"""What this package has to say to people beside its answers, each sentence once a process.

A program gets it as a warning of the logger "tocsin", which reaches standard error where logging was not set up. The command writes to
standard error itself (`cli` replaces `write`), for logging costs more to import than the command.
"""

from __future__ import annotations

from .loading import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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


def _log(text: str) -> None:
    late("logging").getLogger("tocsin").warning("%s", text)


write: Callable[[str], None] = _log
