"""Accepts connections, and runs one task for each.

`connection_table` decides which connections may stay, `request_turns` which request is served next. So idle connections, tails, half
frames and many requests at once use up the limits of their own user only. A long answer (`tail`, `wait`) ends when its peer hangs up, not
only at the next event.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import trio

from tocsin.replies import with_note
from tocsin.signals import Receipt, Signal
from tocsin.wire import IN_MEMORY
from tocsind.core.admission import Peer
from tocsind.errors import StorageFull
from tocsind.events import ConnectionRefused, Emit, SignalsLost
from tocsind.host.accept_loop import AcceptLoop
from tocsind.ipc.protocol import (
    Acknowledge,
    AddClientWebhook,
    AnyRequest,
    Backup,
    Expect,
    Goodbye,
    Losses,
    Send,
    SendMany,
    Silence,
    Tail,
    Test,
    Unsilence,
    Wait,
)

from .connection import Connection, Refusal
from .connection_table import ConnectionTable, Phase
from .decoding import decode
from .handlers import Handlers
from .limits import Limits
from .owners import Owners
from .request_turns import LIGHT, QUESTION, RequestTurns, Turn

_USUAL = Limits()
_ENDING = 8  # connections that are open but not in the table: evicted or refused ones whose task has not ended yet


class Server:
    """Accepts connections and serves them. Call `close` before cancelling: requests in service then get their answers."""

    def __init__(self, handlers: Handlers, emit: Emit, limits: Limits = _USUAL, owners: Owners | None = None) -> None:
        self._handlers = handlers
        self._emit = emit
        self._limits = limits
        self._owners = owners or Owners()
        self.table = ConnectionTable(limits)
        self._turns = {privileged: RequestTurns(limits.in_service) for privileged in (False, True)}
        self._unsynced = trio.Semaphore(limits.unsynced)
        self._stopping = False

    async def serve(self, listener: trio.abc.Listener[trio.SocketStream]) -> None:
        """Accept until cancelled."""
        async with trio.open_nursery() as self._background:
            most = self._limits.connections + _ENDING
            await AcceptLoop("socket", self._emit, most, self.table.evict_idlest).run(
                listener, self._accepted, self._background
            )

    def close(self) -> None:
        """Answer every further request with `stopping`."""
        self._stopping = True

    async def _accepted(self, stream: trio.SocketStream) -> None:
        async with stream:
            connection = Connection(stream, self._limits, self.table, self._owners)
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                admitted = self.table.admit(connection.slot)
                if admitted:
                    with connection.scope:
                        await self._serve(connection)
                self._send_refusal(
                    connection, (connection.eviction_reason or connection.timeout_refusal()) if admitted else _BUSY
                )

    def _send_refusal(self, connection: Connection, refusal: Refusal | None) -> None:
        """Send the reason without waiting. A peer that closes, or whose connection is closed, can still read it."""
        if refusal is not None:
            self._emit(ConnectionRefused(connection.peer.uid, refusal.kind, refusal.message))
            connection.send_reply_now(refusal.reply(), as_json=True)

    async def _refuse(self, connection: Connection, refusal: Refusal, *, as_json: bool) -> None:
        if refusal.closes:
            self._emit(ConnectionRefused(connection.peer.uid, refusal.kind, refusal.message))
            connection.send_reply_now(refusal.reply(), as_json=as_json)
        else:
            await connection.send_reply(refusal.reply(), as_json=as_json)

    async def _serve(self, connection: Connection) -> None:
        try:
            while await self._serve_one(connection):
                pass
        finally:
            self.table.remove(connection.slot)

    async def _serve_one(self, connection: Connection) -> bool:
        """Serve one request; False when the connection has ended."""
        as_json = True  # of a frame that cannot be decoded: every client reads JSON
        try:
            body = await connection.read_frame()
            if body is None or connection.scope.cancel_called:  # evicted in this tick: it could not be answered
                return False
            as_json = body.startswith(b"{")
            return await self._respond(connection, body, as_json=as_json)
        except Refusal as refused:
            refusal = refused.bare()
        await self._refuse(connection, refusal, as_json=as_json)
        return not refusal.closes

    async def _respond(self, connection: Connection, body: bytes, *, as_json: bool) -> bool:
        if self._stopping:
            raise Refusal("stopping", "tocsind is stopping; try again", closes=True)
        turn = Turn(self._turns[connection.slot.privileged], connection.slot)
        try:
            await turn.acquire(max(LIGHT, len(body)))
            return await self._serve_request(connection, decode(body), turn, as_json=as_json)
        finally:
            turn.release()

    async def _serve_request(self, connection: Connection, request: AnyRequest, turn: Turn, *, as_json: bool) -> bool:
        match request:
            case Tail() | Wait():
                turn.release()
                return await self._follow_feed(connection, request, as_json=as_json)
            case Backup():
                await self._catch_up(connection, request, turn)
                await turn.acquire(LIGHT)
                await self._handlers.permit(request, connection.peer)
                turn.release()
                await _while_connected(
                    connection, lambda: self._stream(connection, self._handlers.backup(), as_json=as_json)
                )
                return False
            case AddClientWebhook():
                connection.send_reply_now(await self._handlers.add_webhook(request, connection.peer), as_json=as_json)
            case Expect() | Goodbye():
                connection.send_reply_now(await self._handlers.beat(request, connection.peer), as_json=as_json)
            case Acknowledge() | Silence() | Unsilence():
                await self._catch_up(connection, request, turn)  # what was sent before is not silenced
                await turn.acquire(QUESTION)
                reply = await self._handlers.change(request, connection.peer)
                connection.send_reply_now(reply, as_json=as_json)
            case Losses():
                await turn.acquire(QUESTION)
                connection.send_reply_now(self._handlers.count_losses(request, connection.peer), as_json=as_json)
            case Send(ack="stored") | SendMany(ack="stored"):
                await self._accept_signals(connection, request, turn, as_json=as_json)
            case Send() | SendMany():
                await self._reply_early(connection, request, turn, as_json=as_json)
            case Test():
                await self._handlers.catch_up(request)
                connection.send_reply_now(await self._handlers.answer(request), as_json=as_json)
            case _:
                await self._catch_up(connection, request, turn)
                await turn.acquire(QUESTION)
                await self._handlers.permit(request, connection.peer)
                connection.send_reply_now(await self._handlers.answer(request), as_json=as_json)
        turn.release()  # before the peer reads, which may take long
        await connection.flush_reply()
        return True

    async def _follow_feed(self, connection: Connection, request: Tail | Wait, *, as_json: bool) -> bool:
        connection.slot.enter(Phase.FOLLOWING)
        if isinstance(request, Wait):
            return await _while_connected(connection, lambda: self._answer(connection, request, as_json=as_json))
        self.table.mark_tail(connection.slot)
        await _while_connected(
            connection,
            lambda: self._stream(connection, self._handlers.events(request, as_json=as_json), as_json=as_json),
        )
        return False

    async def _catch_up(self, connection: Connection, request: AnyRequest, turn: Turn) -> None:
        """Wait for the spool before a question, without holding a turn. The connection may be evicted meanwhile."""
        turn.release()
        connection.slot.enter(Phase.QUEUED)
        await self._handlers.catch_up(request)
        connection.slot.enter(Phase.SERVED)

    async def _answer(self, connection: Connection, request: AnyRequest, *, as_json: bool) -> None:
        await self._handlers.catch_up(request)
        await connection.send_reply(await self._handlers.answer(request), as_json=as_json)

    async def _accept_signals(
        self, connection: Connection, request: Send | SendMany, turn: Turn, *, as_json: bool
    ) -> None:
        connection.scope.shield = True  # a signal that was read gets its receipt, also while the daemon stops
        try:
            connection.send_reply_now(await self._handlers.accept(request, connection.peer), as_json=as_json)
            turn.release()
            await connection.flush_reply()
        finally:
            connection.scope.shield = False

    async def _stream(
        self, connection: Connection, replies: AsyncGenerator[dict[str, Any], None], *, as_json: bool
    ) -> None:
        async with contextlib.aclosing(replies):
            async for reply in replies:
                await connection.send_reply(reply, as_json=as_json)

    async def _reply_early(
        self, connection: Connection, request: Send | SendMany, turn: Turn, *, as_json: bool
    ) -> None:
        """Serve a client that does not wait for the disk: the commit happens in the background."""
        admitted = await self._handlers.parse_signals(request, connection.peer)
        await self._unsynced.acquire()
        self._background.start_soon(self._store_unsynced, admitted, connection.peer, turn.transfer())
        if request.ack == "received":
            early = [
                Receipt(each.id, "stored", with_note(each, IN_MEMORY)) if isinstance(each, Signal) else each
                for each in admitted
            ]
            many = isinstance(request, SendMany)
            await connection.send_reply(self._handlers.reply(request, early, many=many), as_json=as_json)

    async def _store_unsynced(self, admitted: Sequence[Signal | Receipt], peer: Peer, turn: Turn) -> None:
        try:
            await self._handlers.store_all(admitted, peer)
        except StorageFull as full:
            self._emit(SignalsLost(len(admitted), str(full)))
        finally:
            self._unsynced.release()
            turn.release()


_BUSY = Refusal("busy", "too many connections are open, and none of them is idle; try again", closes=True)


async def _while_connected(connection: Connection, work: Callable[[], Awaitable[None]]) -> bool:
    """Do `work`, which may take long, until the peer hangs up; False when it did."""
    done = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_disconnected, connection, nursery.cancel_scope)
            await work()
            done = True
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # raised by `work`: the watcher beside it raises nothing
    return done


async def _until_disconnected(connection: Connection, scope: trio.CancelScope) -> None:
    await connection.wait_closed()
    scope.cancel()
