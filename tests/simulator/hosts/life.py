"""One run of a host's daemon: it may be stopped and continued (SIGSTOP, SIGCONT), or killed.

What a process does to the world it does through a `Life`: its journal, its way to the engine, its requests. A killed process does nothing
more: each further step raises Killed, so that whatever its tasks still want to clean up stays undone, as after SIGKILL. A stopped process
waits at its next step. Its timers run on, which a real one's do not: it may therefore act on a look at the clock that is long past, as a
process that was stopped just after that look.
"""

from __future__ import annotations

import trio


class Killed(BaseException):
    """The process is gone. No `except Exception` may swallow it."""


class Life:
    """`step` before and after everything that the world can see."""

    def __init__(self) -> None:
        self.is_over = False
        self.scope = trio.CancelScope()
        self._may_go_on = trio.Event()
        self._may_go_on.set()

    async def step(self, seconds: float = 0.0) -> None:
        """Wait so long, and longer while the process is stopped. Raises Killed."""
        self.check()
        await trio.sleep(seconds)
        while not self._may_go_on.is_set() and not self.is_over:
            await self._may_go_on.wait()
        self.check()

    @property
    def is_stopped(self) -> bool:
        return not self._may_go_on.is_set()

    def stop(self) -> None:
        """SIGSTOP."""
        if not self.is_stopped:
            self._may_go_on = trio.Event()

    def go_on(self) -> None:
        """SIGCONT."""
        self._may_go_on.set()

    def kill(self) -> None:
        """SIGKILL."""
        self.is_over = True
        self._may_go_on.set()
        self.scope.cancel()

    def check(self) -> None:
        """Raises Killed."""
        if self.is_over:
            raise Killed
