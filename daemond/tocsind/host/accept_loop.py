"""Accepts connections from a listener, also while the process has no file descriptor left for one.

trio's own `serve_listeners` logs a traceback ten times a second then. Here the loop waits, twice as long each time, and reports it
once in REPORT seconds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable

import trio

from tocsind.events import AcceptFailed, Emit

REPORT = 10.0  # seconds between two reports of one listener
_FIRST, _MOST = 0.1, 1.0  # seconds until accept is tried again
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

Listener = trio.abc.Listener[trio.SocketStream]
Handler = Callable[[trio.SocketStream], Awaitable[None]]


class AcceptLoop:
    """The loop of one listener. At most `most` connections are open at once, those that are being closed included; more wait in the
    backlog. `evict`, if given, is called when no file descriptor is left: it may free one.
    """

    def __init__(self, where: str, emit: Emit, most: int, evict: Callable[[], object] = lambda: None) -> None:
        self._where = where
        self._emit = emit
        self._evict = evict
        self._has_room = trio.Semaphore(most)
        self._failures = 0  # since the last report
        self._next_report = float("-inf")

    async def run(self, listener: Listener, handler: Handler, nursery: trio.Nursery) -> None:
        """Start `handler` for each connection in `nursery`. Returns when the listener is closed, and closes it when cancelled."""
        async with listener:
            await self._accept(listener, handler, nursery)

    async def _accept(self, listener: Listener, handler: Handler, nursery: trio.Nursery) -> None:
        pause = _FIRST
        while True:
            await self._has_room.acquire()
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._has_room.release()
                self._report(error)
                self._evict()
                await trio.sleep(pause)
                pause = min(2 * pause, _MOST)
            else:
                pause = _FIRST
                nursery.start_soon(self._handle, handler, stream)
                del stream

    async def _handle(self, handler: Handler, stream: trio.SocketStream) -> None:
        try:
            await handler(stream)
        finally:
            self._has_room.release()

    def _report(self, error: OSError) -> None:
        self._failures += 1
        if trio.current_time() >= self._next_report:
            self._emit(AcceptFailed(self._where, os.strerror(error.errno or 0), self._failures))
            self._next_report, self._failures = trio.current_time() + REPORT, 0
