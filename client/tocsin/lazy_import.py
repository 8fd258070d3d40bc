"""What is imported late: under a lock, and never for the first time while the interpreter closes.

`import tocsin` must stay lighter than `import socket`, so what only some hand-offs need is imported by the first that does.

    fork     a fork in the middle of an import, in another thread, would leave the child with half a module and a module lock that nobody
             ever releases: its first `send` would wait for ever. So late imports hold `loading`, and a fork waits for it
    closing  once the interpreter closes, `import` fails, even for a module that was imported before. Alerts may still come, from `__del__`
             of a global. So `late` remembers each module, and an exit hook, which Python runs before it closes, imports what a hand-off
             may need (`needed_at_exit`). A program that hands nothing over pays for that at its end

    lazy("json").loads(text)
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import RLock  # `threading` would be a tenth of what `import tocsin` costs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

loading = RLock()
os.register_at_fork(before=loading.acquire, after_in_parent=loading.release, after_in_child=loading.release)

_modules: dict[str, Any] = {}
_needed: list[Callable[[], object]] = []


def lazy(name: str) -> Any:
    """The module `name`, by its full name, imported by the first caller. Raises ImportError."""
    found = _modules.get(name)
    return _import(name) if found is None else found


def _import(name: str) -> Any:
    if sys.is_finalizing():  # a thread that has stopped for ever may hold the lock
        raise ImportError(f"{name} cannot be imported any more: the interpreter is closing")
    with loading:
        __import__(name)
        module = _modules[name] = sys.modules[name]
    return module


def needed_at_exit(prepare: Callable[[], object] | str) -> None:
    """Have a module imported, or something else made ready, at the end of the program, while that is still possible."""
    _needed.append((lambda: lazy(prepare)) if isinstance(prepare, str) else prepare)


def nothing_at_exit() -> None:
    """This program hands nothing over any more: what it has not loaded it does not load at its end either."""
    _needed.clear()


@atexit.register
def _prepare() -> None:
    for prepare in _needed:
        try:
            prepare()
        except Exception:  # noqa: BLE001, S112 - what cannot be had now was not needed before either
            continue
