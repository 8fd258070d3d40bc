"""The server's side of SMTP (RFC 5321, 3207, 4954) for the fake of kind "email": one session after the other, and whatever a test wants.

replies   (stage, recipient or "") -> the replies that are given instead, one for each time; a text of its own instead of "250 ok"
drip      seconds between the bytes of each reply
lost      stages after which the connection ends instead of an answer; "end" is the answer to the whole mail
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Callable
from typing import Final

import trio

USER: Final = "alerts"
PASSWORD: Final = "a-Password-of-the-relay-5417"  # noqa: S105 - of a fake
HOST: Final = "127.0.0.1"
_LONGEST_LINE: Final = 1000  # bytes, as RFC 5321 permits with the line break
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class SmtpServer:
    """Listens on a loopback port. `accept` gets each whole mail, as sender, recipients and content, and returns the reply. While
    `is_gone`, no login works.
    """

    def __init__(self, accept: Callable[[str, list[str], bytes], str], is_gone: Callable[[], bool]) -> None:
        self.accept = accept
        self.is_gone = is_gone
        self.port = 0
        self.certificate: ssl.SSLContext | None = None
        self.is_implicit = False
        self.replies: dict[tuple[str, str], list[str]] = {}
        self.lost: list[str] = []
        self.drip = 0.0
        self.commands: list[str] = []  # the verbs, of all sessions
        self.encrypted = 0  # sessions over TLS
        self.violations: list[str] = []
        self.held: trio.Event | None = None

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; the port stays the same."""
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve_connection, listeners)

    async def _serve_connection(self, stream: trio.SocketStream) -> None:
        try:
            await _Session(self, stream).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, _LostError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    def reply(self, stage: str, about: str, usual: str) -> str:
        """What is answered at a stage."""
        for key in ((stage, about), (stage, "")):
            if waiting := self.replies.get(key):
                return waiting.pop(0)
        return usual


class _LostError(Exception):
    """The connection ends here."""


class _Session:
    def __init__(self, server: SmtpServer, stream: Stream) -> None:
        self._server = server
        self._stream = stream
        self._buffer = b""
        self._is_known = False
        self._is_encrypted = False
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        if self._server.is_implicit:
            await self._encrypt()
        if not await self._answer("connect", "220 fake.example ESMTP"):
            return
        while (line := await self._line()) is not None:
            if not await self._obey(line.decode("utf-8", "replace")):
                return

    async def _obey(self, line: str) -> bool:
        """Answer one command; whether the session goes on."""
        verb, _, rest = line.partition(" ")
        self._server.commands.append(verb.upper())
        handlers = {
            "EHLO": lambda: self._answer("EHLO", self._extensions()),
            "STARTTLS": self._start_tls,
            "AUTH": lambda: self._authenticate(rest),
            "MAIL": lambda: self._mail(_path_in(rest)),
            "RCPT": lambda: self._recipient(_path_in(rest)),
            "DATA": self._data,
        }
        if verb.upper() == "QUIT":
            return False
        return await handlers.get(verb.upper(), lambda: self._answer("unknown", "502 5.5.2 what?"))()

    async def _answer(self, stage: str, usual: str) -> bool:
        return await self._say(stage, self._server.reply(stage, "", usual))

    async def _say(self, stage: str, reply: str) -> bool:
        """Send a reply; whether the session goes on."""
        if stage in self._server.lost:
            self._server.lost.remove(stage)
            raise _LostError
        content = reply.replace("\n", "\r\n").encode() + b"\r\n"
        for part in [content[place : place + 1] for place in range(len(content))] if self._server.drip else [content]:
            await trio.sleep(self._server.drip)
            await self._stream.send_all(part)
        return not reply.startswith("421")

    def _extensions(self) -> str:
        lines = ["fake.example", "SIZE 12582912", "8BITMIME"]
        if self._server.certificate and not self._is_encrypted:
            lines.append("STARTTLS")
        else:
            lines.append("AUTH LOGIN PLAIN")
        return "\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    async def _start_tls(self) -> bool:
        reply = self._server.reply("STARTTLS", "", "220 2.0.0 go ahead")
        goes_on = await self._say("STARTTLS", reply)
        if reply.startswith("220"):
            await self._encrypt()
        return goes_on

    async def _encrypt(self) -> None:
        assert self._server.certificate is not None
        assert isinstance(self._stream, trio.SocketStream)
        self._stream = trio.SSLStream(self._stream, self._server.certificate, server_side=True, https_compatible=True)
        await self._stream.do_handshake()
        self._is_encrypted, self._buffer = True, b""
        self._server.encrypted += 1

    async def _authenticate(self, rest: str) -> bool:
        mechanism, _, initial = rest.partition(" ")
        if mechanism == "LOGIN":
            given = [await self._asked("VXNlcm5hbWU6"), await self._asked("UGFzc3dvcmQ6")]
        else:
            given = b64decode(initial).decode().split("\0")[1:]
        self._is_known = given == [USER, PASSWORD] and not self._server.is_gone()
        return await self._answer("AUTH", "235 2.7.0 welcome" if self._is_known else "535 5.7.8 wrong password")

    async def _asked(self, question: str) -> str:
        await self._stream.send_all(f"334 {question}\r\n".encode())
        return b64decode(await self._line() or b"").decode()

    async def _mail(self, sender: str) -> bool:
        self._sender, self._recipients = sender, []
        usual = "250 2.1.0 ok" if self._is_known else "530 5.7.0 authentication required"
        return await self._answer("MAIL", usual)

    async def _recipient(self, recipient: str) -> bool:
        reply = self._server.reply("RCPT", recipient, "250 2.1.5 ok")
        if reply.startswith("25"):
            self._recipients.append(recipient)
        return await self._say("RCPT", reply)

    async def _data(self) -> bool:
        reply = self._server.reply("DATA", "", "354 go on" if self._recipients else "503 5.5.1 no recipient")
        goes_on = await self._say("DATA", reply)
        if not reply.startswith("354"):
            return goes_on
        content = await self._content()
        if self._server.held is not None:
            await self._server.held.wait()
        assert self._sender is not None
        instead = self._server.reply("end", "", "")
        return await self._say("end", instead or self._server.accept(self._sender, self._recipients, content))

    async def _content(self) -> bytes:
        lines: list[bytes] = []
        while (line := await self._line()) != b".":
            if line is None:
                raise _LostError
            if len(line) > _LONGEST_LINE - 2:
                self._server.violations.append(f"a line of {len(line)} bytes")
            lines.append(line.removeprefix(b"."))
        return b"\r\n".join(lines)

    async def _line(self) -> bytes | None:
        """The next line without its break; None at the end of the connection."""
        while b"\r\n" not in self._buffer:
            received = await self._stream.receive_some(65_536)
            if not received:
                return None
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        if b"\n" in line or b"\r" in line:
            self._server.violations.append("a line break that is not CRLF")
        return line


def _path_in(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]
