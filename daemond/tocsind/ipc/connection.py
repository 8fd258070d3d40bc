"""One peer: its frames, one at a time, and the replies in the encoding of each."""

from __future__ import annotations

import math
import os
import select
import socket
import struct
from typing import Any

import msgspec
import trio

from tocsin.wire import HEADER_BYTES, MAX_FRAME, body_length, pack
from tocsind.dispatch import Peer

from .limits import Limits

_READ = 65536


class Refusal(Exception):  # noqa: N818 - an answer, not an accident
    """An answer that says no: `kind` is one of tocsin.wire.ERROR_KINDS. `closes` when the stream cannot be trusted any more."""

    def __init__(self, kind: str, message: str, *, field: str | None = None, closes: bool = False) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.field = field
        self.closes = closes

    def reply(self) -> dict[str, Any]:
        """What goes over the wire."""
        error = {"kind": self.kind, "message": self.message}
        return {"ok": False, "error": {**error, "field": self.field} if self.field else error}


class Connection:
    """A connected peer. `idle_since` is on trio's clock, and None while a request of its is being served.

    `scope` is the connection's whole life. Its deadline and shield move with what happens in it, because a scope of its own for every read
    and every answer would cost a hand-off more than its decoding.
    """

    def __init__(self, stream: trio.SocketStream, limits: Limits) -> None:
        self.stream = stream
        self._limits = limits
        self.peer = _credentials(stream)
        self.idle_since: float | None = trio.current_time()
        self.scope = trio.CancelScope()
        self._buffer = bytearray()
        self._unsent = b""

    async def frame(self) -> bytes | None:
        """The next frame's body; None when the peer has gone. Raises Refusal for what is no frame.

        A peer that is idle for too long, or takes too long over a frame, is cancelled.
        """
        now = trio.current_time()
        self.idle_since = now
        self.scope.deadline = now + (self._limits.frame if self._buffer else self._limits.idle)
        while (body := self._whole_frame()) is None:
            received = await self.stream.receive_some(_READ)
            if not received:
                return None
            if not self._buffer:
                self.scope.deadline = trio.current_time() + self._limits.frame
            self._buffer += received
        self.scope.deadline = math.inf
        self.idle_since = None
        return body

    def _whole_frame(self) -> bytes | None:
        """A frame's body, once all of it has come."""
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

    def check_pace(self) -> None:
        """Raises Refusal when a frame that has begun is overdue: for the door, once `scope` is over."""
        if self._buffer and trio.current_time() >= self.scope.deadline:
            raise Refusal("broken-frame", f"a frame must be complete within {self._limits.frame:g} s", closes=True)

    async def reply(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send one reply. A peer that does not take it in time is cut off."""
        await self._send(_packed(message, as_json=as_json))

    def reply_now(self, message: dict[str, Any], *, as_json: bool) -> None:
        """Send what the peer takes of a reply without waiting; from any thread, while the connection's task awaits `finish_reply`."""
        frame = _packed(message, as_json=as_json)
        try:
            self._unsent = frame[os.write(self.stream.socket.fileno(), frame) :]
        except BlockingIOError:
            self._unsent = frame
        except OSError:
            pass  # the peer has gone, as the next read will tell

    async def finish_reply(self) -> None:
        """Send what `reply_now` could not."""
        unsent, self._unsent = self._unsent, b""
        if unsent:
            await self._send(unsent)

    async def _send(self, frame: bytes) -> None:
        with trio.move_on_after(self._limits.frame) as scope:
            await self.stream.send_all(frame)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def gone(self) -> None:
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
