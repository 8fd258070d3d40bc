"""Kind "slack": a channel, by an incoming webhook, or by a bot, which can edit its messages (https://docs.slack.dev)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tocsin.signals import PRIORITIES
from tocsind.config import web_address
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.problems import SLACK
from tocsind.config.reader import Field, Location, Mistake, read_table, shown
from tocsind.config.secret_sources import SecretSource, first_reason, secret, secret_url
from tocsind.config.values import duration, several, text
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.pace import Pace
from tocsind.secret import Secret

API = "https://slack.com/api"
EVERYONE = ("channel", "here", "everyone")
_ONE_A_SECOND = Rate(1, 1.0)  # in a channel, and for a webhook; short bursts may pass, but nothing says how long


class SlackOptions(Options, frozen=True):
    """A channel. Either `webhook` is set, or `bot_token` and `channel`. `mention` holds member ids, group ids and words of EVERYONE."""

    webhook: Secret | None = None
    bot_token: Secret | None = None
    channel: str = ""
    api_url: str = API
    mention: Mapping[str, tuple[str, ...]] = {}
    deadline: float = 20.0

    @property
    def identity(self) -> str:
        return f"{self.endpoint} {self.channel}"

    @property
    def endpoint(self) -> str | None:
        if self.webhook:
            return self.webhook.reveal()
        return f"{self.api_url} {self.bot_token.reveal()}" if self.bot_token else None

    @property
    def address(self) -> str | None:
        return web_address.host_of(self.webhook.reveal() if self.webhook else self.api_url)

    @property
    def url(self) -> Secret | None:
        return self.webhook or (Secret(self.api_url) if self.bot_token else None)

    @property
    def pace(self) -> Pace:
        return Pace(endpoint=_ONE_A_SECOND) if self.webhook else Pace(channel=_ONE_A_SECOND)


def options(location: Location, found: Mapping[str, Any]) -> tuple[SlackOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    webhook: SecretSource | None = found.get("webhook")
    token: SecretSource | None = found.get("bot_token")
    if (webhook is None) == (token is None):
        location.wrong("needs either `webhook`, or `bot-token` and `channel`")
    elif token and not _has_channel(location):
        location.at("channel").wrong('missing; a bot needs one: the id, like "C0123ABCD"')
    elif webhook and (extra := {"channel", "api_url"} & found.keys()):
        location.at(min(extra).replace("_", "-")).wrong("is for a bot; a webhook posts to its own channel")
    _check_shapes(location, webhook, token)
    read = SlackOptions(
        webhook=webhook.secret if webhook else None,
        bot_token=token.secret if token else None,
        **{key: found[key] for key in ("channel", "api_url", "mention", "deadline") if key in found},
    )
    return read, first_reason(webhook, token)


def _has_channel(location: Location) -> bool:
    """Whether there is one, right or wrong."""
    return isinstance(location.value, dict) and "channel" in location.value


def _check_shapes(location: Location, webhook: SecretSource | None, token: SecretSource | None) -> None:
    if webhook and webhook.secret and (problem := _problem_with(webhook.secret.reveal())):
        location.at("webhook").wrong(f"{webhook.called} {problem}")
    if token and token.secret and not re.fullmatch(r"xox[bpe]-[\w.-]{8,}", token.secret.reveal()):
        location.at("bot-token").wrong(
            f"{token.called} is no bot token; it begins with xoxb- and stands below OAuth & Permissions of the app"
        )


def _problem_with(url: str) -> str | None:
    if problem := web_address.problem_with(url, SLACK):
        return problem
    if other := web_address.other_kind(url, "slack"):
        return other
    if urlsplit(url).path.startswith(("/triggers/", "/workflows/")):
        return f"starts a workflow, which takes another form; an incoming webhook looks like {SLACK}"
    return None


def _channel(location: Location) -> str:
    name = text(location).strip()
    if not re.fullmatch(r"[CDGU][A-Z0-9]{6,20}|#[^\s#]{1,80}", name):
        raise Mistake(
            f'{shown(name)} is no channel; it looks like "C0123ABCD" (below "About" of the channel) or "#alerts"'
        )
    if name.startswith("#"):
        location.warn(
            'is a name, and alerts stop when the channel is renamed; better its id, like "C0123ABCD" (below "About" of the channel)'
        )
    return name


def _mention(location: Location) -> Mapping[str, tuple[str, ...]]:
    found = read_table(location, {priority: Field(several(_one_mention)) for priority in PRIORITIES})
    return {priority: mentions for priority, mentions in found.items() if mentions}


def _one_mention(location: Location) -> str:
    word = text(location)
    if word not in EVERYONE and not re.fullmatch(r"[USW][A-Z0-9]{6,20}", word):
        raise Mistake(f'{shown(word)} is no mention; use "channel", "here", "everyone", or the id of a member or group')
    return word


FIELDS = {
    "webhook": Field(lambda location: secret_url(location, "a webhook URL")),
    "bot-token": Field(secret("a bot token")),
    "channel": Field(_channel),
    "api-url": Field(web_address.server),
    "mention": Field(_mention),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options, digest=Budgets())
