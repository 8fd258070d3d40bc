"""Imports modules on first use: under a lock, and never for the first time while the interpreter closes.

`import tocsin` must stay lighter than `import socket`, so a module that only some hand-offs need is imported by the first of them.

    fork     a fork during an import of another thread would leave the child with half a module and a module lock that is never released,
             so that its first `send` would wait for ever. Lazy imports hold `loading`, and a fork waits for it
    closing  once the interpreter closes, `import` fails, even for a module that was imported before. Signals may still be sent, from
             `__del__` of a global. So `lazy` stores each module, and an exit hook, which Python runs before it closes, imports the modules
             that a hand-off may need (`needed_at_exit`), also in a program that sends nothing

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
    """The module with the full name `name`, imported by the first caller. Raises ImportError."""
    found = _modules.get(name)
    return _import(name) if found is None else found


def _import(name: str) -> Any:
    if sys.is_finalizing():  # a suspended daemon thread may hold the lock
        raise ImportError(f"{name} cannot be imported any more: the interpreter is closing")
    with loading:
        __import__(name)
        module = _modules[name] = sys.modules[name]
    return module


def needed_at_exit(prepare: Callable[[], object] | str) -> None:
    """Import a module, or call `prepare`, at the end of the program, while imports still work."""
    _needed.append((lambda: lazy(prepare)) if isinstance(prepare, str) else prepare)


def nothing_at_exit() -> None:
    """Cancel the imports at exit, for a program that sends nothing then."""
    _needed.clear()


@atexit.register
def _prepare() -> None:
    for prepare in _needed:
        try:
            prepare()
        except Exception:  # noqa: BLE001, S112 - the exit goes on
            continue
