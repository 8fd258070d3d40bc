"""Kind "discord": a webhook of Discord."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.signals import PRIORITIES
from tocsind.config import webhook_url
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, did_you_mean, shown
from tocsind.config.secret_sources import SecretSource, secret_url
from tocsind.config.values import by_priority, duration, flag, one_of, rate, several, text
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.pace import GUARD, Pace
from tocsind.secret import Secret

MOST_MENTIONS = 50  # a message's content has 2,000 code points, and an id may take 24 of them
_ALL = ("everyone", "here")
_WITH_ID = ("role", "user")
_PUSH = {"all": PRIORITIES, "none": ()}
# Discord takes 50 requests a second from an address without a token of its own; fewer in a longer window is the safe side.
ADDRESS_LIMIT = Rate(45, 1.1)


class DiscordOptions(Options, frozen=True):
    """A Discord webhook, in its normal form; None when its secret is not there, and then the destination is disabled."""

    webhook: Secret | None = None
    username: str | None = None  # shown instead of the webhook's own name
    deadline: float = 10.0  # of one request, from connecting to the last byte
    mention: Mapping[str, tuple[str, ...]] = {}  # priority -> mentions: "role:ID", "user:ID", "everyone", "here"
    silent: tuple[str, ...] = ()  # priorities whose messages make no sound
    webhook_limit: Rate = Rate(5, 2.0)  # of one webhook, until its answers say otherwise
    channel_limit: Rate = Rate(30, 60.0)  # of a channel, for all its webhooks together; no answer states it
    push: tuple[str, ...] = ("urgent", "high")  # priorities whose alerts begin with a line of text

    @property
    def identity(self) -> str:
        return str(self.webhook and self.webhook.reveal())

    @property
    def endpoint(self) -> str | None:
        return self.webhook.reveal().partition("?")[0] if self.webhook else None

    @property
    def pace(self) -> Pace:
        return Pace(self.webhook_limit, self.channel_limit, ADDRESS_LIMIT, GUARD)

    @property
    def url(self) -> Secret | None:
        return self.webhook


def options(location: Location, found: Mapping[str, Any]) -> tuple[DiscordOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    source: SecretSource = found.get("webhook", SecretSource())
    url = _normal(location.at("webhook"), source, allow_host=found.get("allow_host", False))
    own = {key: value for key, value in found.items() if key in _OWN}
    return DiscordOptions(webhook=url, **own), source.reason


def _normal(location: Location, source: SecretSource, *, allow_host: bool) -> Secret | None:
    if source.secret is None:
        return None
    try:
        return Secret(webhook_url.normalise(source.secret.reveal(), allow_host=allow_host))
    except ValueError as error:
        location.wrong(f"{source.called} {error}")
        return None


def _username(location: Location) -> str:
    name = text(location).strip()
    if len(name) > 80 or any(word in name.lower() for word in ("clyde", "discord")):
        raise Mistake('Discord takes up to 80 characters without "clyde" and "discord"')
    return name


def _webhook(location: Location) -> SecretSource:
    """The URL is not checked yet."""
    return secret_url(location, "a webhook URL")


def _push(location: Location) -> tuple[str, ...]:
    if isinstance(location.value, list):
        return several(one_of(PRIORITIES, "priority"))(location) if location.value else ()
    word = one_of((*PRIORITIES, *_PUSH), "priority")(location)
    return _PUSH.get(word, (word,))


def _mentions(location: Location) -> tuple[str, ...]:
    found = several(_one_mention)(location)
    if len(found) > MOST_MENTIONS:
        raise Mistake(f"mentions at most {MOST_MENTIONS}")
    return found


def _one_mention(location: Location) -> str:
    word = text(location)
    kind, colon, id_ = word.partition(":")
    if word in _ALL:
        return word
    if not colon:
        raise Mistake(f"{shown(word)} is no mention; {did_you_mean(word, (*_ALL, 'role:ID', 'user:ID'))}")
    if kind not in _WITH_ID:
        raise Mistake(f"{shown(word)} is no mention; {did_you_mean(kind, _WITH_ID)}")
    if not re.fullmatch(r"[0-9]{1,20}", id_):
        raise Mistake(f"{shown(word)} has no ID; the ID is the number that Discord's developer mode copies")
    return word


FIELDS = {
    "webhook": Field(_webhook, missing='missing; write it like { env = "DISCORD_WEBHOOK_..." }'),
    "allow-host": Field(flag),
    "username": Field(_username),
    "deadline": Field(duration),
    "mention": Field(by_priority(_mentions)),
    "silent": Field(several(one_of(PRIORITIES, "priority"))),
    "push": Field(_push),
    "webhook-limit": Field(rate),
    "channel-limit": Field(rate),
}
_OWN = {key.replace("-", "_") for key in FIELDS} - {"webhook", "allow_host"}
KIND = Kind(
    FIELDS,
    options,
    limit=Rate(30, 60.0),  # per minute: the limit of a Discord channel, for all its webhooks together
    digest=Budgets(),
)
