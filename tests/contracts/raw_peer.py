"""A peer that is not the Python client: it writes any bytes to the socket, and reads the replies."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any, Self

import msgspec
from tests.harness import PATIENCE

from tocsin.wire import MAX_FRAME, PROTOCOL

HUNG_UP = None  # what `reply` returns when the daemon closed the connection


class Peer:
    """One connection to the socket at `path`."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)

    def write(self, data: bytes) -> Self:
        """Write the bytes. A connection that the daemon has closed is no error here: `reply` returns HUNG_UP."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def json(self, text: str | bytes | dict[str, Any]) -> Self:
        """One frame of JSON."""
        return self.write(framed(json.dumps(text) if isinstance(text, dict) else text))

    def msgpack(self, message: object) -> Self:
        """One frame of MessagePack."""
        return self.write(framed(msgspec.msgpack.encode(message)))

    def finish(self) -> Self:
        """Shut down writing; replies can still be read."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def body(self) -> bytes | None:
        """The next frame's body, or HUNG_UP."""
        header = self._exactly(4)
        return header and self._exactly(int.from_bytes(header, "big"))

    def reply(self) -> dict[str, Any] | None:
        """The next reply in either encoding, or HUNG_UP."""
        body = self.body()
        if body is None:
            return HUNG_UP
        found: dict[str, Any] = json.loads(body) if body.startswith(b"{") else msgspec.msgpack.decode(body)
        return found

    def error(self) -> str:
        """The error kind of the next reply, which must be a well-formed error."""
        reply = self.reply()
        assert reply is not None, "the daemon hung up without a word"
        assert reply["ok"] is False
        assert reply["error"]["message"]
        kind: str = reply["error"]["kind"]
        return kind

    def _exactly(self, size: int) -> bytes | None:
        got = b""
        while len(got) < size:
            try:
                chunk = self.socket.recv(size - len(got))
            except ConnectionResetError:  # the daemon closed before it had read all bytes
                chunk = b""
            if not chunk:
                return HUNG_UP
            got += chunk
        return got

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def framed(body: str | bytes) -> bytes:
    """A frame around `body`."""
    raw = body.encode() if isinstance(body, str) else body
    return len(raw).to_bytes(4, "big") + raw


def request(op: str, **fields: Any) -> dict[str, Any]:
    """A well-formed request."""
    return {"op": op, "v": PROTOCOL, **fields}


def send(title: str, **fields: Any) -> dict[str, Any]:
    """A well-formed `send`."""
    return request("send", signal={"title": title, **fields})


def send_of_size(size: int) -> bytes:
    """The JSON of a `send` of exactly so many bytes."""
    empty = len(json.dumps(send("x", body="")))
    return json.dumps(send("x", body="b" * (size - empty))).encode()


LIMIT = MAX_FRAME
