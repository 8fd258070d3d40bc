"""A client of Redis' protocol (RESP 2) on trio's streams: one connection, one command at a time, nothing repeated.

A command has a deadline. When it passes, or its task is cancelled, the connection is closed, because the answer that is still on its way
would be taken for the next command's. So no connection is ever in an unknown state, and none leaks.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Final

import trio

from tocsind.config.shared import EngineAddress

from .engine import EngineAway

CONNECT_SECONDS: Final = 1.0
COMMAND_SECONDS: Final = 3.0
LARGEST: Final = 512 * 2**20  # bytes of one answer, Redis' own limit
DEEPEST: Final = 8  # arrays in arrays; the scripts need 3
_CHUNK: Final = 65536

Argument = str | bytes | int
Answer = bytes | int | None | list["Answer"]


class CommandFailed(Exception):  # noqa: N818 - names the event
    """The server answered a command with an error."""


class Connection:
    """One connection. Use from one task at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    @classmethod
    async def open(cls, address: EngineAddress) -> Connection:
        """Connect and log in. Raises EngineAway."""
        try:
            with trio.fail_after(CONNECT_SECONDS):
                connection = cls(await _connected(address))
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise EngineAway(f"{address.name} cannot be reached: {_why(error)}") from None
        try:
            await connection._log_in(address)
        except CommandFailed as failed:
            await connection.aclose()
            raise EngineAway(f"{address.name} refuses this host: {failed}") from None
        return connection

    async def _log_in(self, address: EngineAddress) -> None:
        if address.password:
            user = [address.user] if address.user else []
            await self.call("AUTH", *user, address.password.reveal())
        if address.database:
            await self.call("SELECT", address.database)

    async def call(self, *arguments: Argument) -> Answer:
        """The answer to a command. Raises CommandFailed, EngineAway."""
        (answer,) = await self.call_all([arguments])
        return answer

    async def call_all(self, commands: Sequence[Sequence[Argument]]) -> list[Answer]:
        """The answers to several commands that leave together. Raises CommandFailed for the first that failed, EngineAway."""
        whole = False
        try:
            with trio.fail_after(COMMAND_SECONDS):
                await self._stream.send_all(b"".join(map(_encoded, commands)))
                answers = [await self._answer() for _ in commands]
                whole = True
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
            raise EngineAway(f"the engine does not answer: {_why(error)}") from None
        finally:
            if not whole:
                await trio.aclose_forcefully(self._stream)
        for answer in answers:
            if isinstance(answer, CommandFailed):
                raise answer
        return [answer for answer in answers if not isinstance(answer, CommandFailed)]

    async def push(self) -> Answer:
        """The next message of a subscription; waits for as long as it takes. Raises EngineAway."""
        try:
            answer = await self._answer()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise EngineAway(f"the engine does not answer: {_why(error)}") from None
        return None if isinstance(answer, CommandFailed) else answer

    async def aclose(self) -> None:
        """Close it at once."""
        await trio.aclose_forcefully(self._stream)

    async def _answer(self, depth: int = 0) -> Answer | CommandFailed:
        line = await self._line()
        kind, text = line[:1], line[1:]
        match kind:
            case b"+":
                return text
            case b"-":
                return CommandFailed(text.decode(errors="replace"))
            case b":":
                return _number(text)
            case b"$":
                return await self._bulk(_length(text))
            case b"*" if depth < DEEPEST:
                return await self._array(_length(text), depth + 1)
        raise EngineAway("what answers is no engine")

    async def _array(self, length: int, depth: int) -> Answer:
        if length < 0:
            return None
        found = [await self._answer(depth) for _ in range(length)]
        return [each for each in found if not isinstance(each, CommandFailed)]

    async def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        while len(self._buffer) < length + 2:
            await self._receive()
        found = bytes(self._buffer[:length])
        del self._buffer[: length + 2]
        return found

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            await self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _receive(self) -> None:
        data = await self._stream.receive_some(_CHUNK)
        if not data:
            raise trio.BrokenResourceError("it closed the connection")
        self._buffer += data


def _number(text: bytes) -> int:
    if not text.removeprefix(b"-").isdigit() or len(text) > 20:
        raise EngineAway("what answers is no engine")
    return int(text)


def _length(text: bytes) -> int:
    length = _number(text)
    if length > LARGEST:
        raise EngineAway("what answers is no engine")
    return length


def _encoded(arguments: Sequence[Argument]) -> bytes:
    parts = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


async def _connected(address: EngineAddress) -> trio.abc.Stream:
    if address.path:
        return await trio.open_unix_socket(address.path)
    stream = await trio.open_tcp_stream(address.host, address.port)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(COMMAND_SECONDS * 1000))
    if not address.tls:
        return stream
    secured = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=address.host, https_compatible=True)
    await secured.do_handshake()
    return secured


def _why(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    cause = error.__cause__ if error.__cause__ is not None else error
    text = getattr(cause, "strerror", None) or str(cause)
    return text or type(cause).__name__
