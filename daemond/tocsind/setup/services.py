"""The services that `tocsind init` can write, and the text of a configuration over several of them.

The first service gets every signal. The next ones stand in for it, in their order, and a file stands in for all. Secrets are not written:
each has a variable, and until it is set its destination is disabled and its signals go to the fallback.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import tomli_w

from tocsind.config.kinds import KINDS

FILE: Final = "local-file"
Table = dict[str, Any]
_PATIENCE: Final = {"urgent": "30s", "high": "2m", "normal": "10m"}
_HEAD: Final = """\
# The configuration of tocsin. `tocsind check` reads it as the daemon does and reports all mistakes at once, and `tocsind check --online`
# asks the services too; `systemctl reload tocsind` (SIGHUP) applies changes, and a file with mistakes changes nothing.
# Every key is described in the default alerts.toml. Variables hold the secrets; { file = "/path" } and { credential = "name" } do as well.
"""


class Service(NamedTuple):
    """A service that can be chosen. `asks` is the question for its `value`; None: it has none. `usual` is the value of an empty answer."""

    table: Callable[[str], Table]
    asks: str | None = None
    usual: str = ""
    metavar: str = "VALUE"
    text: str = ""


def _number_or_name(chat: str) -> int | str:
    return int(chat) if chat.removeprefix("-").isdecimal() else chat


_ALL: Final[dict[str, Service]] = {
    "discord": Service(lambda _: {"webhook": {"env": "DISCORD_WEBHOOK"}}, text="a channel of Discord, by a webhook"),
    "telegram": Service(
        lambda chat: {"bot-token": {"env": "TELEGRAM_BOT_TOKEN"}, "chat-id": _number_or_name(chat)},
        'the chat that the bot writes to, like -1001234567890 or "@channel"',
        metavar="CHAT_ID",
        text="a chat of Telegram, by a bot",
    ),
    "ntfy": Service(
        lambda server: {"server": server, "topic": {"env": "NTFY_TOPIC"}},
        "the server",
        "https://ntfy.sh",
        "SERVER",
        "phones and desktops, by ntfy",
    ),
    "slack": Service(lambda _: {"webhook": {"env": "SLACK_WEBHOOK"}}, text="a channel of Slack, by a webhook"),
    "email": Service(
        lambda to: {"smarthost": "localhost:25", "tls": "none", "from": to, "to": [to]},
        "the address that gets the mails",
        metavar="ADDRESS",
        text="mail, by the mail server of this host",
    ),
    "webhook": Service(lambda _: {"url": {"env": "WEBHOOK_URL"}}, text="any program that takes JSON over HTTP"),
    "exec": Service(
        lambda words: {"command": shlex.split(words)},
        "the program and its arguments",
        metavar="COMMAND",
        text="a program on this host",
    ),
    "apprise": Service(lambda _: {"url": {"env": "APPRISE_URL"}}, text="any service that Apprise knows"),
}
SERVICES: Final = {kind: service for kind, service in _ALL.items() if kind in KINDS}


class Chosen(NamedTuple):
    """A service, and its value."""

    kind: str
    value: str


def variables(chosen: Sequence[Chosen]) -> list[str]:
    """The variables that hold the secrets, in order."""
    tables = [SERVICES[each.kind].table(each.value) for each in chosen]
    return [value["env"] for table in tables for value in table.values() if isinstance(value, dict)]


def configuration(chosen: Sequence[Chosen]) -> str:
    """The text of alerts.toml for these services, each of another kind."""
    names = [each.kind for each in chosen]
    parts = [_HEAD, f"# Where signals go: to {', then to '.join([*names, 'a file'])}."]
    for place, each in enumerate(chosen):
        last = place == len(chosen) - 1
        keys = {"kind": each.kind, **SERVICES[each.kind].table(each.value), "fallback": [*names[place + 1 :], FILE]}
        parts.append(_table(f"[destinations.{each.kind}]", keys if last else {**keys, "patience": _PATIENCE}))
    parts.append(_table(f"[destinations.{FILE}]", {"kind": "file", "path": "alerts.jsonl"}))
    parts.append("# The first route that matches decides. One without `when` takes every signal.")
    parts.append(_table("[[routes]]", {"to": names[:1]}))
    return "\n".join(parts)


def _table(header: str, keys: Mapping[str, Any]) -> str:
    width = max(map(len, keys))
    return "\n".join((header, *(f"{key:<{width}} = {_written(value)}" for key, value in keys.items()), ""))


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").rstrip("\n")
