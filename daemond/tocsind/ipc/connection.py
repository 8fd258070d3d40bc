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


class Refusal(Exception):  # noqa: N818 - an answer, not an accident
    """An answer that says no: `kind` is one of tocsin.wire.ERROR_KINDS. `closes` when the stream cannot be trusted any more."""

    def __init__(self, kind: str, message: str, *, field: str | None = None, closes: bool = False) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.field = field
        self.closes = closes

    def bare(self) -> Refusal:
        """The same without its traceback, which would keep alive all that was made of the request."""
        return Refusal(self.kind, self.message, field=self.field, closes=self.closes)

    def reply(self) -> dict[str, Any]:
        """What goes over the wire."""
        error = {"kind": self.kind, "message": self.message}
        return {"ok": False, "error": {**error, "field": self.field} if self.field else error}


class Connection:
    """A connected peer. `idle_since` is monotonic, and None while a request of its is being served.

    `scope` is the connection's whole life. Its deadline and shield move with what happens in it, because a scope of its own for every read
    and every answer would cost a hand-off more than its decoding.
    """

    def __init__(self, stream: trio.SocketStream, limits: Limits, table: ConnectionTable, owners: Owners) -> None:
        self.stream = stream
        self._limits = limits
        self._table = table
        self.peer = _credentials(stream)
        uid = self.peer.uid
        self.slot = Slot(owners.owner(uid), self._evict, privileged=owners.is_privileged(uid))
        self.eviction_reason: Refusal | None = None  # what an evicted peer is told
        self.scope = trio.CancelScope()
        self._buffer = bytearray()
        self._unsent = b""

    @property
    def idle_since(self) -> float | None:
        """Since when it waits for its next request."""
        return self.slot.since if self.slot.phase is Phase.IDLE else None

    @idle_since.setter
    def idle_since(self, since: float | None) -> None:
        self.slot.enter(Phase.SERVED if since is None else Phase.IDLE)

    def _evict(self, message: str | None) -> None:
        self.eviction_reason = None if message is None else Refusal("busy", message, closes=True)
        if self.slot.phase is Phase.STALLED:
            self._buffer = bytearray()  # now: many may be evicted before the first task of them ends
        self.scope.cancel()

    def reserve_bytes(self, size: int) -> None:
        """So many bytes of a request or a reply lie here unfinished."""
        if size != self.slot.bytes:
            self._table.set_bytes(self.slot, size)

    async def read_frame(self) -> bytes | None:
        """The next frame's body; None when the peer has gone. Raises Refusal for what is no frame.

        A peer that takes too long over a frame, or to come, is cancelled.
        """
        self.reserve_bytes(len(self._buffer))
        if not self._buffer:
            self.idle_since = time.monotonic()
            self.scope.deadline = trio.current_time() + self._limits.idle
            self._buffer += await self.stream.receive_some(_READ)
            if not self._buffer:  # who goes is idle to the end: many who hang up at once keep nobody out
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
        if self.slot.bytes:  # a small frame that came whole is held for no time worth counting
            self.reserve_bytes(len(body) + len(self._buffer))
        self.scope.deadline = math.inf
        return body

    def _next_body(self) -> bytes | None:
        """A frame's body, once all of it has come. Raises Refusal."""
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
        """What a peer is told whose frame was not complete in time: for the door, once `scope` is over."""
        if self._buffer and trio.current_time() >= self.scope.deadline:
            return Refusal("broken-frame", f"a frame must be complete within {self._limits.frame:g} s", closes=True)
        return None

    async def send_reply(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send one reply. A peer that does not take it in time is cut off."""
        self.send_reply_now(message, as_json=as_json)
        del message  # a large one is not needed while its peer takes its time
        await trio.lowlevel.checkpoint()
        await self.flush_reply()

    def send_reply_now(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send what the peer takes of a reply without waiting; the rest is for `finish_reply`."""
        self._unsent += _packed(message, as_json=as_json)
        try:
            sent = os.write(self.stream.socket.fileno(), self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)  # the peer has gone, as the next read will tell
        self._unsent = self._unsent[sent:]

    async def flush_reply(self) -> None:
        """Send what `reply_now` could not."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            phase, since = self.slot.phase, self.slot.since
            self.slot.enter(Phase.STALLED)
            self.reserve_bytes(len(self._buffer) + len(unsent))
            try:
                await self._send(unsent)
            except trio.Cancelled:
                self.eviction_reason = None  # behind a part of a reply it would be read as the rest
                raise
            self.slot.phase, self.slot.since = phase, since
            self.reserve_bytes(len(self._buffer))

    async def _send(self, frame: bytes) -> None:
        with trio.move_on_after(self._limits.frame) as scope:
            await self.stream.send_all(frame)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def wait_closed(self) -> None:
        """Return once the peer has hung up; never, when it asks on or has only finished asking: it may still read.

        Nothing is taken from the stream, so what comes meanwhile is the next frame's.
        """
        sock = self.stream.socket
        await trio.lowlevel.wait_readable(sock)
        poll = select.poll()
        poll.register(sock, 0)  # asks for nothing: only a hang-up and errors are told
        if not poll.poll(0):
            await trio.sleep_forever()


def _packed(message: dict[str, Any], *, as_json: bool) -> bytes:
    return pack((msgspec.json.encode if as_json else msgspec.msgpack.encode)(message))


def _credentials(stream: trio.SocketStream) -> Peer:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", raw)
    return Peer(uid=uid, gid=gid, pid=pid)
