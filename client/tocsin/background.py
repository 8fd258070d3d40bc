"""A thread that is begun when there is work for it, and again should it have gone: what the handler and the couriers stand on."""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Background:
    """One process's own; after a fork, whoever wants one makes another."""

    def __init__(self, name: str, run: Callable[[], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.RLock()  # a signal handler may have work, too
        self._thread: threading.Thread | None = None

    def begin(self) -> bool:
        """See to it that it runs; False when it cannot: the interpreter is closing, or there are too many threads.

        While it closes, a thread that is there has stopped for ever, and one that is begun may never run (3.11 waits for it).
        """
        if sys.is_finalizing():
            return False
        with self._lock:
            if not self.is_alive():
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    self._thread = None
                    return False
                self._thread = thread
        return True

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread is not None and self._thread.is_alive()

    def is_me(self) -> bool:
        """Whether it is this very thread that asks."""
        return self._thread is not None and self._thread.ident == threading.get_ident()
