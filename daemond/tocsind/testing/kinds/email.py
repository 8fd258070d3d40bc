"""A relay, and behind it one store that keeps a mail once by its Message-ID, as many do.

The control surface is HTTP, as of every fake; mails come in at `smtp.port`. A script's behaviours mean, in SMTP: `status` 401 a wrong
password, other 4xx a refusal of the mail (554), other statuses a failure (451); `rate_limited` too many mails (450); `drop` a lost
connection. What only SMTP has is in `smtp` (`smtp_server`).
"""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from math import ceil
from typing import Any, ClassVar

import trio

from tocsind.http_server import Reply, Request
from tocsind.testing.behaviour import Asked, Behaviour
from tocsind.testing.behaviours import Drop, RateLimited, Status
from tocsind.testing.kinds.smtp_server import HOST, PASSWORD, USER, SmtpServer
from tocsind.testing.service import FakeService, json_reply

_ANY = Asked("", "POST", 10, {})


class EmailService(FakeService):
    """One relay."""

    kind: ClassVar[str] = "email"

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.smtp = SmtpServer(self._accept, lambda: self.dead)
        self.mails: list[tuple[list[str], EmailMessage]] = []  # all that were accepted, copies too: recipients and mail

    def destination(self) -> dict[str, Any]:
        return {
            "kind": "email",
            "smarthost": f"{HOST}:{self.smtp.port}",
            "tls": "none",
            "username": USER,
            "password": {"env": "FAKE_EMAIL_PASSWORD"},
            "from": "tocsin <tocsin@example.com>",
            "to": ["reader@example.com"],
        }

    def environment(self) -> dict[str, str]:
        return {"FAKE_EMAIL_PASSWORD": PASSWORD}

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.smtp.serve)
            await nursery.start(super().serve)
            task_status.started()

    def process(self, request: Request) -> Reply:  # noqa: ARG002
        return json_reply(404, {"error": "mails come by SMTP"})

    def _accept(self, sender: str, recipients: list[str], content: bytes) -> str:  # noqa: ARG002
        """The reply to a whole mail: what the script says, or that it is kept."""
        line = self._script.next_for(_ANY)
        if line is not None:
            self._script.use(line)
        self._notify()
        if line is not None and line.replaces:
            if isinstance(line, Drop):
                self.smtp.lost.append("end")
            return _instead(line)
        if self.poison is not None and self.poison in str(message_from_bytes(content, policy=default)):
            return "554 5.7.1 refused for its content"
        self._keep(recipients, content)
        if isinstance(line, Drop):
            self.smtp.lost.append("end")
        return "250 2.0.0 queued as 4bG7xT"

    def _keep(self, recipients: list[str], content: bytes) -> None:
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((list(recipients), mail))
        id_, body = str(mail["Message-ID"]), mail.get_body()
        if self.recognize(id_) is None:
            text = "" if body is None else str(body.get_content())
            self.save(id_, str(mail["Subject"]), text, {name: str(value) for name, value in mail.items()})


def _instead(line: Behaviour) -> str:
    match line:
        case RateLimited(retry_after=wait):
            return f"450 4.7.28 too many mails, try again in {ceil(wait)} seconds"
        case Status(status=401, text=text):
            return f"535 5.7.8 {_first_line(text)}"
        case Status(status=status, text=text, html=False) if 400 <= status < 500:
            return f"554 5.7.1 {_first_line(text)}"
    return f"451 4.3.0 {_first_line(getattr(line, 'text', ''))}"


def _first_line(text: str) -> str:
    return text.split("\n", maxsplit=1)[0] or "no"
