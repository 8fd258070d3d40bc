"""The watched processes: a task and a pidfd for each, one for each expectation."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio

from .entry import Owner
from .process import Process, how_it_ended, open_pidfd, reopen

MAX_WATCHED = 512  # processes, one file descriptor each
GOODBYE_SECONDS = 0.5  # s from a process's end to its report: its goodbye may still wait in the socket

OnLeft = Callable[[Owner, Process, str | None], Awaitable[None]]  # with how it ended, where that is known


class Watches:
    """Calls `on_left` when a watched process ends before its watch is stopped. Its tasks run in `nursery`."""

    def __init__(self, nursery: trio.Nursery, on_left: OnLeft) -> None:
        self._nursery = nursery
        self._on_left = on_left
        self._scopes: dict[Owner, trio.CancelScope] = {}

    def start(self, owner: Owner, pid: int, known: Process | None) -> Process | None:
        """Watch the process that has this pid now, in place of the `known` one; the process that is watched then.

        One that is not visible here (of another pid namespace), or is one too many, is not watched.
        """
        found = open_pidfd(pid) if pid > 0 else None
        if found is None:
            return known
        process, pidfd = found
        if process == known or (owner not in self._scopes and len(self._scopes) >= MAX_WATCHED):
            os.close(pidfd)
            return known
        self._spawn(owner, process, pidfd)
        return process

    def resume(self, owner: Owner, process: Process) -> bool:
        """Watch a process of an earlier run; False when it has ended."""
        pidfd = reopen(process)
        if pidfd is None:
            return False
        self._spawn(owner, process, pidfd)
        return True

    def stop(self, owner: Owner) -> None:
        """Watch no process of this expectation any more."""
        if scope := self._scopes.pop(owner, None):
            scope.cancel()

    def _spawn(self, owner: Owner, process: Process, pidfd: int) -> None:
        self.stop(owner)
        scope = self._scopes[owner] = trio.CancelScope()
        self._nursery.start_soon(self._watch, owner, process, pidfd, scope)

    async def _watch(self, owner: Owner, process: Process, pidfd: int, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await trio.lowlevel.wait_readable(pidfd)
                ending = how_it_ended(pidfd, process.pid)  # now: a zombie's status is gone once it is reaped
                await trio.sleep(GOODBYE_SECONDS)
                await self._on_left(owner, process, ending or how_it_ended(pidfd, process.pid))
        finally:
            os.close(pidfd)
            if self._scopes.get(owner) is scope:
                del self._scopes[owner]
