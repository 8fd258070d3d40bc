"""Who may come in, and the task of each who does.

A uid that holds `per_uid` connections loses its longest idle one to a new one; when none of them is idle, the new one is turned
away. The same holds for all together. So connections that nobody uses can never keep out one that somebody wants to. One that waits
for an answer is in use, so long answers (`tail`, `wait`) end when their peer hangs up, and not at the next fact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from tocsin.signals import Receipt, Signal
from tocsin.wire import IN_MEMORY
from tocsind.errors import StorageFull
from tocsind.events import ConnectionRefused, Emit, Lost
from tocsind.reception import Peer
from tocsind.requests import AnyRequest, LendWebhook, Send, SendMany, Tail, Wait

from .connection import Connection, Refusal
from .desk import Desk, decode, receipts
from .hatch import Hatch, Visitor
from .limits import Limits

_USUAL = Limits()


class Door:
    """Lets connections in and serves them. `close` before cancelling: what is being answered then gets its answer."""

    def __init__(self, desk: Desk, emit: Emit, limits: Limits = _USUAL) -> None:
        self._desk = desk
        self._hatch = Hatch(desk.dispatch, limits)
        self._emit = emit
        self._limits = limits
        self._connections: set[Connection] = set()
        self._unsynced = trio.Semaphore(limits.unsynced)
        self._stopping = False

    async def serve(self, listener: trio.SocketListener) -> None:
        """Accept until cancelled."""
        self._desk.dispatch.check_disk()  # from now on behind each hand-off
        async with trio.open_nursery() as self._background:
            await trio.serve_listeners(self._welcome, [listener], handler_nursery=self._background)

    def close(self) -> None:
        """From now on every request is answered with `stopping`."""
        self._stopping = True
        self._hatch.is_open = False

    async def _welcome(self, stream: trio.SocketStream) -> None:
        async with stream:
            connection = Connection(stream, self._limits)
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                with connection.scope:
                    if self._make_room(connection.peer):
                        await self._serve(connection)
                    else:
                        await self._turn_away(connection)
                await self._tell_slow(connection)

    async def _turn_away(self, connection: Connection) -> None:
        self._emit(ConnectionRefused(connection.peer.uid, "too many connections, none of them idle"))
        refusal = Refusal("busy", "too many connections are open, and none of them is idle; try again", closes=True)
        await connection.reply(refusal.reply(), as_json=True)

    async def _tell_slow(self, connection: Connection) -> None:
        try:
            connection.check_pace()
        except Refusal as refusal:
            await self._refuse(connection, refusal, as_json=True)

    async def _refuse(self, connection: Connection, refusal: Refusal, *, as_json: bool) -> None:
        if refusal.closes:  # without waiting: who leaves, or is sent away, hears it all the same
            self._emit(ConnectionRefused(connection.peer.uid, refusal.message))
            connection.reply_now(refusal.reply(), as_json=as_json)
        else:
            await connection.reply(refusal.reply(), as_json=as_json)

    def _make_room(self, peer: Peer) -> bool:
        own = [connection for connection in self._connections if connection.peer.uid == peer.uid]
        return self._below(own, self._limits.per_uid) and self._below(self._connections, self._limits.connections)

    def _below(self, connections: Iterable[Connection], most: int) -> bool:
        """Whether there is room, if need be because the longest idle one has just been sent away."""
        held = list(connections)
        if len(held) < most:
            return True
        idle = [connection for connection in held if connection.idle_since is not None]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.idle_since or 0.0)
        longest.scope.cancel()
        self._connections.discard(longest)  # now, or two who come at once would both take its place
        return True

    async def _serve(self, connection: Connection) -> None:
        self._connections.add(connection)
        visitor = Visitor(self._hatch, connection)
        try:
            while await self._serve_one(connection, visitor):
                pass
        finally:
            self._connections.discard(connection)

    async def _serve_one(self, connection: Connection, visitor: Visitor) -> bool:
        """One request and its reply; False when the connection is over."""
        as_json = True  # what cannot be read is answered in what everybody can
        try:
            body = await connection.frame(visitor.visit)
            if (
                body is None or connection.scope.cancel_called
            ):  # sent away in this very tick: nothing is taken that cannot be answered
                return False
            as_json = body.startswith(b"{")
            return await self._respond(connection, decode(body), as_json=as_json)
        except Refusal as refusal:
            await self._refuse(connection, refusal, as_json=as_json)
            return not refusal.closes

    async def _respond(self, connection: Connection, request: AnyRequest, *, as_json: bool) -> bool:
        if self._stopping:
            raise Refusal("stopping", "tocsind is stopping; try again", closes=True)
        match request:
            case Tail():
                await _while_there(connection, lambda: self._tell_facts(connection, request, as_json=as_json))
                return False
            case Wait():
                return await _while_there(connection, lambda: self._answer(connection, request, as_json=as_json))
            case LendWebhook():
                await connection.reply(await self._desk.lend(request, connection.peer), as_json=as_json)
            case Send(ack="stored") | SendMany(ack="stored"):
                await self._keep(connection, request, as_json=as_json)
            case Send() | SendMany():
                await self._answer_early(connection, request, as_json=as_json)
            case _:
                await self._answer(connection, request, as_json=as_json)
        return True

    async def _answer(self, connection: Connection, request: AnyRequest, *, as_json: bool) -> None:
        await connection.reply(await self._desk.answer(request), as_json=as_json)

    async def _keep(self, connection: Connection, request: Send | SendMany, *, as_json: bool) -> None:
        connection.scope.shield = True  # a signal that was read gets its receipt, also while we leave
        try:
            await self._desk.keep(request, connection.peer, lambda reply: connection.reply_now(reply, as_json=as_json))
            await connection.finish_reply()
        finally:
            connection.scope.shield = False

    async def _tell_facts(self, connection: Connection, request: Tail, *, as_json: bool) -> None:
        async with contextlib.aclosing(self._desk.facts(request)) as facts:
            async for fact in facts:
                await connection.reply(fact, as_json=as_json)

    async def _answer_early(self, connection: Connection, request: Send | SendMany, *, as_json: bool) -> None:
        """For callers who chose not to wait for the disk: the commit goes on in the background."""
        admitted = self._desk.admit(request, connection.peer)
        await self._unsynced.acquire()
        self._background.start_soon(self._store, admitted, connection.peer)
        if request.ack == "received":
            early = [Receipt(each.id, "stored", IN_MEMORY) if isinstance(each, Signal) else each for each in admitted]
            many = isinstance(request, SendMany)
            await connection.reply({"ok": True, **receipts(early, many=many)}, as_json=as_json)

    async def _store(self, admitted: Sequence[Signal | Receipt], peer: Peer) -> None:
        try:
            await self._desk.store(admitted, peer)
        except StorageFull as full:
            self._emit(Lost(len(admitted), str(full)))
        finally:
            self._unsynced.release()


async def _while_there(connection: Connection, work: Callable[[], Awaitable[None]]) -> bool:
    """Do `work`, which may take long, unless the peer hangs up; False when it did."""
    done = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, connection, nursery.cancel_scope)
            await work()
            done = True
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # the work's own: the watcher beside it raises nothing
    return done


async def _until_gone(connection: Connection, scope: trio.CancelScope) -> None:
    await connection.gone()
    scope.cancel()
