"""Kind "telegram": a chat, group, topic or channel, by a bot (https://core.telegram.org/bots/api)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.signals import PRIORITIES
from tocsind.config import web_address
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, kind_of, shown
from tocsind.config.secret_sources import SecretSource, first_reason, secret
from tocsind.config.values import count, duration, one_of, several
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.pace import Pace
from tocsind.secret import Secret

API = "https://api.telegram.org"
_BOT = r"[0-9]{6,12}:[A-Za-z0-9_-]{30,64}"
_GROUP_WITHOUT_MINUS = re.compile(r"100[0-9]{9,11}")


class TelegramOptions(Options, frozen=True):
    """A chat that a bot writes to. `chat_id` is a number, or the @name of a public group or channel."""

    bot_token: Secret | None = None
    chat_id: str = ""
    thread_id: int | None = None
    api_url: str = API
    silent: tuple[str, ...] = ("low",)
    deadline: float = 20.0

    @property
    def identity(self) -> str:
        return f"{self.api_url} {self.bot_token and self.bot_token.reveal()} {self.chat_id} {self.thread_id}"

    @property
    def endpoint(self) -> str | None:
        return f"{self.api_url} {self.bot_token.reveal()}" if self.bot_token else None

    @property
    def address(self) -> str | None:
        return web_address.host_of(self.api_url)

    @property
    def url(self) -> Secret | None:
        return self.method("sendMessage")

    @property
    def pace(self) -> Pace:
        """What Telegram publishes: 30 a second for a bot, 20 a minute in a group. Edits count as messages."""
        chat = Rate(1, 1.0) if self.is_private else (Rate(20, 60.0), Rate(1, 1.0))
        return Pace(endpoint=Rate(30, 1.0), channel=chat)

    @property
    def is_private(self) -> bool:
        """Whether the chat is with one person."""
        return self.chat_id.isdecimal()

    def method(self, name: str) -> Secret | None:
        """The URL of a method of the API; it contains the token. None without one."""
        return self.bot_token and Secret(f"{self.api_url}/bot{self.bot_token.reveal()}/{name}")


def options(location: Location, found: Mapping[str, Any]) -> tuple[TelegramOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    token: SecretSource = found.get("bot_token", SecretSource())
    own = {key: found[key] for key in ("chat_id", "thread_id", "api_url", "silent", "deadline") if key in found}
    if token.secret and not re.fullmatch(_BOT, token.secret.reveal()):
        location.at("bot-token").wrong(f"{token.called} {_problem_with(token.secret.reveal())}")
    if own.get("api_url", "").endswith("/bot"):
        location.at("api-url").wrong("ends before /bot: the token and the method follow it")
    return TelegramOptions(bot_token=token.secret, **own), first_reason(token)


def _problem_with(token: str) -> str:
    if re.search(rf"\b(bot)?{_BOT}", token):
        return (
            "has something around the bot token: only the digits, the colon and the characters behind it belong to it"
        )
    return "is no bot token; BotFather's have up to 12 digits, a colon and 35 characters"


def _chat_id(location: Location) -> str:
    value = location.value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Mistake(f'must be a number like -1001234567890, or a name like "@channel", not {kind_of(value)}')
    written = str(value).strip()
    if _GROUP_WITHOUT_MINUS.fullmatch(written):
        raise Mistake(f"{written} has no minus: the ids of groups and channels begin with -100")
    if "t.me/" in written:
        raise Mistake(
            'is a link; a public group or channel is written as its name, like "@channel", and a private one by its id'
        )
    if not re.fullmatch(r"-?[1-9][0-9]{0,17}|@[A-Za-z][A-Za-z0-9_]{3,31}", written):
        raise Mistake(f'{shown(written)} is no chat id; it looks like -1001234567890, 123456789 or "@channel"')
    return written


FIELDS = {
    "bot-token": Field(secret("a bot token"), missing='missing; write it like { env = "TELEGRAM_BOT_TOKEN" }'),
    "chat-id": Field(_chat_id, missing="missing; it looks like -1001234567890"),
    "thread-id": Field(count),
    "api-url": Field(web_address.server),
    "silent": Field(several(one_of(PRIORITIES, "priority"))),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options, digest=Budgets())
