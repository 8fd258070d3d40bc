"""One peer: its frames, one at a time, and the replies in the encoding of each."""

from __future__ import annotations

import math
import os
import select
import socket
import struct
import time
from typing import Any

import msgspec
import trio

from tocsin.wire import HEADER_BYTES, MAX_FRAME, body_length, pack
from tocsind.core.admission import Peer

from .connection_table import ConnectionTable, Phase, Slot
from .limits import Limits
from .owners import Owners

_READ = 65536


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """An error reply: `kind` is one of tocsin.wire.ERROR_KINDS. `closes` is true when the connection must be closed after it."""

    def __init__(self, kind: str, message: str, *, field: str | None = None, closes: bool = False) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.field = field
        self.closes = closes

    def bare(self) -> Refusal:
        """A copy without traceback: the traceback would keep the decoded request in memory."""
        return Refusal(self.kind, self.message, field=self.field, closes=self.closes)

    def reply(self) -> dict[str, Any]:
        """The reply as sent to the peer."""
        error = {"kind": self.kind, "message": self.message}
        return {"ok": False, "error": {**error, "field": self.field} if self.field else error}


class Connection:
    """A connected peer. `idle_since` is monotonic, and None while one of its requests is served.

    `scope` spans the connection's whole life. Its deadline and shield change with each phase: a new scope for every read and every answer
    would cost more than decoding the request.
    """

    def __init__(self, stream: trio.SocketStream, limits: Limits, table: ConnectionTable, owners: Owners) -> None:
        self.stream = stream
        self._limits = limits
        self._table = table
        self.peer = _credentials(stream)
        uid = self.peer.uid
        self.slot = Slot(owners.owner(uid), self._evict, privileged=owners.is_privileged(uid))
        self.eviction_reason: Refusal | None = None  # the reply to an evicted peer
        self.scope = trio.CancelScope()
        self._buffer = bytearray()
        self._unsent = b""

    @property
    def idle_since(self) -> float | None:
        """When the connection began to wait for its next request; None while it does not."""
        return self.slot.since if self.slot.phase is Phase.IDLE else None

    @idle_since.setter
    def idle_since(self, since: float | None) -> None:
        self.slot.enter(Phase.SERVED if since is None else Phase.IDLE)

    def _evict(self, message: str | None) -> None:
        self.eviction_reason = None if message is None else Refusal("busy", message, closes=True)
        if self.slot.phase is Phase.STALLED:
            self._buffer = bytearray()  # free the memory now: many connections may be evicted before their tasks end
        self.scope.cancel()

    def reserve_bytes(self, size: int) -> None:
        """Count `size` bytes of an unfinished request or reply against this connection's owner."""
        if size != self.slot.bytes:
            self._table.set_bytes(self.slot, size)

    async def read_frame(self) -> bytes | None:
        """The next frame's body; None when the peer has hung up. Raises Refusal for bytes that are no frame.

        Cancels `scope` when the peer takes too long for a frame or between two.
        """
        self.reserve_bytes(len(self._buffer))
        if not self._buffer:
            self.idle_since = time.monotonic()
            self.scope.deadline = trio.current_time() + self._limits.idle
            self._buffer += await self.stream.receive_some(_READ)
            if not self._buffer:  # the phase stays IDLE: a closing connection may be evicted for a new one
                return None
        self.slot.enter(Phase.SERVED)
        self.scope.deadline = trio.current_time() + self._limits.frame
        while (body := self._next_body()) is None:
            self.slot.enter(Phase.STALLED)
            self.reserve_bytes(len(self._buffer))
            received = await self.stream.receive_some(_READ)
            if not received:
                return None
            self._buffer += received
        self.slot.enter(Phase.SERVED)
        if self.slot.bytes:  # a small frame that came whole was never counted
            self.reserve_bytes(len(body) + len(self._buffer))
        self.scope.deadline = math.inf
        return body

    def _next_body(self) -> bytes | None:
        """The body of the next frame, None until all of it has been received. Raises Refusal."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        end = HEADER_BYTES + body_length(bytes(self._buffer[:HEADER_BYTES]))
        if end > HEADER_BYTES + MAX_FRAME:
            length = end - HEADER_BYTES
            raise Refusal("too-large", f"a frame carries at most {MAX_FRAME} bytes, not {length}", closes=True)
        if end == HEADER_BYTES:
            raise Refusal("broken-frame", "an empty frame says nothing", closes=True)
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        return body

    def timeout_refusal(self) -> Refusal | None:
        """The error for a peer whose frame was not complete in time. For the listener, after `scope` has ended."""
        if self._buffer and trio.current_time() >= self.scope.deadline:
            return Refusal("broken-frame", f"a frame must be complete within {self._limits.frame:g} s", closes=True)
        return None

    async def send_reply(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send one reply. Raises trio.BrokenResourceError when the peer does not read it in time."""
        self.send_reply_now(message, as_json=as_json)
        del message  # frees a large reply while its peer reads
        await trio.lowlevel.checkpoint()
        await self.flush_reply()

    def send_reply_now(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send as much of a reply as the socket takes without blocking; `flush_reply` sends the rest."""
        self._unsent += _packed(message, as_json=as_json)
        try:
            sent = os.write(self.stream.socket.fileno(), self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)  # the peer has hung up; the next read finds that
        self._unsent = self._unsent[sent:]

    async def flush_reply(self) -> None:
        """Send the rest that `send_reply_now` left."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            phase, since = self.slot.phase, self.slot.since
            self.slot.enter(Phase.STALLED)
            self.reserve_bytes(len(self._buffer) + len(unsent))
            try:
                await self._send(unsent)
            except trio.Cancelled:
                self.eviction_reason = None  # a second reply after part of the first would be read as its rest
                raise
            self.slot.phase, self.slot.since = phase, since
            self.reserve_bytes(len(self._buffer))

    async def _send(self, frame: bytes) -> None:
        with trio.move_on_after(self._limits.frame) as scope:
            await self.stream.send_all(frame)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def wait_closed(self) -> None:
        """Return once the peer has hung up. Never returns when the peer sends more, or shut down only its sending half: it may still read.

        Reads nothing, so bytes that arrive belong to the next frame.
        """
        sock = self.stream.socket
        await trio.lowlevel.wait_readable(sock)
        poll = select.poll()
        poll.register(sock, 0)  # no events requested: the kernel reports hang-ups and errors only
        if not poll.poll(0):
            await trio.sleep_forever()


def _packed(message: dict[str, Any], *, as_json: bool) -> bytes:
    return pack((msgspec.json.encode if as_json else msgspec.msgpack.encode)(message))


def _credentials(stream: trio.SocketStream) -> Peer:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    return Peer(uid=uid, gid=gid, pid=pid)
