"""A small SMTP client on trio's streams: one mail, one connection (RFC 5321, 3207, 4954).

The standard library's smtplib blocks a thread, which a slow server holds beyond every deadline (its timeout is per read). Here the deadline
and a cancellation end a transaction wherever it is, and `stage` says where that was. That is what matters: until the line with the
final dot leaves, the relay has nothing; from then on until its answer, it may have the mail.

Nothing is sent in clear text where TLS is wanted: without STARTTLS in the greeting the transaction ends, and what came in clear text before
the handshake is an error, not the first encrypted answer.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import trio

from tocsind.secret import Secret

from .connect_errors import root_of

LONGEST_REPLY: Final = 32_768  # bytes, of all lines of one reply
_CONNECTING: Final = frozenset({"connect", "TLS"})
_LINE: Final = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Relay(msgspec.Struct, frozen=True):
    """A relay. `tls` is starttls, implicit or none; `context` is needed unless it is none."""

    host: str
    port: int
    tls: str
    context: ssl.SSLContext | None = None
    username: str | None = None
    password: Secret | None = None


class Mail(NamedTuple):
    """An envelope and its content, with CRLF."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class SmtpReply(NamedTuple):
    """A code, and the text of all lines."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        return self.code < 400


class Ended(msgspec.Struct, frozen=True):
    """How a transaction ended: at which stage, and the reply that ended it; or, without one, why there is none.

    `refused` has the recipients that the relay did not accept, with its replies. The stages are connect, TLS, EHLO, STARTTLS, AUTH, MAIL,
    RCPT, DATA and `end`: the reply to the whole mail.
    """

    stage: str
    reply: SmtpReply | None = None
    why: str = ""
    refused: dict[str, SmtpReply] = {}

    @property
    def is_unsent(self) -> bool:
        """Whether the relay has seen nothing."""
        return self.reply is None and self.stage in _CONNECTING

    @property
    def is_ambiguous(self) -> bool:
        """Whether the relay may have the mail."""
        return self.reply is None and self.stage == "end"


async def submit(relay: Relay, mail: Mail | None, deadline: float) -> Ended:
    """Hand over one mail in at most `deadline` seconds; None: greet and log in, and no more."""
    transaction = _Transaction(relay, mail)
    with trio.move_on_after(deadline):
        why = ""
        try:
            await transaction.run()
        except _RefusedError:
            pass
        except _FailedError as failure:
            why = str(failure)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            why = transaction.why_lost(error)
        return transaction.ended(why)
    return transaction.ended("" if transaction.is_answered else f"no answer within {deadline:g} s")


class _RefusedError(Exception):
    """The last reply ends the transaction."""


class _FailedError(Exception):
    """The transaction cannot go on; the text says why."""


class _Transaction:
    def __init__(self, relay: Relay, mail: Mail | None) -> None:
        self.stage = "connect"
        self._relay = relay
        self._mail = mail
        self._reply: SmtpReply | None = None
        self._refused: dict[str, SmtpReply] = {}
        self._stream: Stream | None = None
        self._buffer = bytearray()
        self._extensions: dict[str, str] = {}

    async def run(self) -> None:
        try:
            await self._connect()
            await self._greet()
            await self._authenticate()
            if self._mail is not None:
                await self._envelope(self._mail)
                await self._content(self._mail)
            with contextlib.suppress(trio.BrokenResourceError):  # the mail is handed over
                await self._send(b"QUIT\r\n")  # its answer changes nothing, and is not awaited
        finally:
            if self._stream is not None:
                await trio.aclose_forcefully(self._stream)

    @property
    def is_answered(self) -> bool:
        """Whether the whole mail has its answer: what follows changes nothing."""
        return self.stage == "end" and self._reply is not None

    def ended(self, why: str) -> Ended:
        """The state as it is."""
        return Ended(self.stage, None if why else self._reply, why, self._refused)

    def why_lost(self, error: Exception) -> str:
        """A failure of the connection, without addresses."""
        if self.stage in _CONNECTING:
            return f"cannot connect ({root_of(error)})"
        return "the connection was lost"

    # --- the stages ---------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        self._stream = await trio.open_tcp_stream(self._relay.host, self._relay.port)
        if self._relay.tls == "implicit":
            await self._encrypt()
        await self._expect("connect", 220)

    async def _greet(self) -> None:
        await self._hello()
        if self._relay.tls != "starttls":
            return
        if "STARTTLS" not in self._extensions:
            raise _FailedError('the server offers no STARTTLS (for a server on this machine: tls = "none")')
        await self._command("STARTTLS", "STARTTLS", 220)
        if self._buffer:
            raise _FailedError("the server sent more than its answer before the TLS handshake")
        await self._encrypt()
        await self._hello()

    async def _hello(self) -> None:
        reply = await self._command("EHLO", f"EHLO {self._own_name()}", 250)
        lines = [line.upper().split(" ", 1) for line in reply.text.split("\n")[1:]]
        self._extensions = {words[0]: words[-1] for words in lines}

    async def _authenticate(self) -> None:
        relay = self._relay
        if relay.username is None or relay.password is None:
            return
        offered = self._extensions.get("AUTH", "").split()
        user, password = relay.username.encode(), relay.password.reveal().encode()
        if "PLAIN" in offered:
            both = _base64(b"\0".join((b"", user, password)))
            await self._command("AUTH", f"AUTH PLAIN {both}", 235)
        elif "LOGIN" in offered:
            await self._command("AUTH", "AUTH LOGIN", 334)
            await self._command("AUTH", _base64(user), 334)
            await self._command("AUTH", _base64(password), 235)
        else:
            self.stage = "AUTH"
            raise _FailedError("the server offers no login by password (AUTH PLAIN or LOGIN)")

    async def _envelope(self, mail: Mail) -> None:
        await self._command("MAIL", f"MAIL FROM:<{mail.sender}>", 250)
        for recipient in mail.recipients:
            await self._recipient(recipient)
        if len(self._refused) == len(mail.recipients):
            raise _RefusedError

    async def _recipient(self, recipient: str) -> None:
        try:
            await self._command("RCPT", f"RCPT TO:<{recipient}>", 250, 251)
        except _RefusedError:
            assert self._reply is not None
            if self._reply.code == 421:  # the server is closing the connection
                raise
            self._refused[recipient] = self._reply

    async def _content(self, mail: Mail) -> None:
        await self._command("DATA", "DATA", 354)
        await self._send(b"".join(stuffed(mail.content)))
        self.stage, self._reply = "end", None
        await self._send(b".\r\n")
        await self._expect("end", 250)

    # --- lines --------------------------------------------------------------------------------------------------------

    async def _encrypt(self) -> None:
        assert isinstance(self._stream, trio.SocketStream)
        assert self._relay.context is not None
        self.stage = "TLS"
        self._stream = trio.SSLStream(
            self._stream, self._relay.context, server_hostname=self._relay.host, https_compatible=True
        )
        await self._stream.do_handshake()

    async def _command(self, stage: str, line: str, *good: int) -> SmtpReply:
        self.stage, self._reply = stage, None
        await self._send(f"{line}\r\n".encode())
        return await self._expect(stage, *good)

    async def _send(self, content: bytes) -> None:
        assert self._stream is not None
        await self._stream.send_all(content)

    async def _expect(self, stage: str, *good: int) -> SmtpReply:
        self.stage = stage
        self._reply = await self._read_reply()
        if self._reply.code not in good:
            raise _RefusedError
        return self._reply

    async def _read_reply(self) -> SmtpReply:
        lines: list[str] = []
        room = LONGEST_REPLY
        while True:
            line = await self._read_line(room)
            room -= len(line)
            match = _LINE.fullmatch(line)
            if match is None:
                raise _FailedError("the server's answer is no SMTP")
            lines.append((match[3] or b"").decode("utf-8", "replace"))
            if match[2] != b"-":
                return SmtpReply(int(match[1]), "\n".join(lines))

    async def _read_line(self, most: int) -> bytes:
        assert self._stream is not None
        while b"\n" not in self._buffer:
            if len(self._buffer) > most:
                raise _FailedError("the server's answer is too long")
            received = await self._stream.receive_some(4096)
            if not received:
                raise _FailedError("the connection was lost")
            self._buffer += received
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer[:] = rest
        return line.removesuffix(b"\r")

    def _own_name(self) -> str:
        """This host's name, or its address on this connection where the name has no domain."""
        name = socket.gethostname()
        if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name):
            return name
        stream = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        assert stream is not None
        address = "127.0.0.1"
        with contextlib.suppress(OSError):
            address = str(stream.socket.getsockname()[0])
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def stuffed(content: bytes) -> Iterator[bytes]:
    """The content with a further dot before each line that begins with one; it ends with a line break."""
    for line in content.split(b"\r\n"):
        yield from (b"." if line.startswith(b".") else b"", line, b"\r\n")


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
