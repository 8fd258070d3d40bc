"""The keys of a Discord destination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.signals import PRIORITIES
from tocsind.secret import Secret

from . import webhook_url
from .model import DiscordOptions
from .reader import Field, Location, Mistake, did_you_mean, read_table, shown
from .values import duration, flag, one_of, rate, several, text
from .webhooks import SecretSource, webhook

MOST_MENTIONS = 50  # a message's content has 2,000 code points, and an id may take 24 of them
_ALL = ("everyone", "here")
_WITH_ID = ("role", "user")


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


def _mention(location: Location) -> dict[str, tuple[str, ...]]:
    """The mentions of each priority. An empty list is left out."""
    found = read_table(location, {priority: Field(_mentions) for priority in PRIORITIES})
    return {priority: mentions for priority, mentions in found.items() if mentions}


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
    "webhook": Field(webhook, missing='missing; write it like { env = "DISCORD_WEBHOOK_..." }'),
    "allow-host": Field(flag),
    "username": Field(_username),
    "deadline": Field(duration),
    "mention": Field(_mention),
    "silent": Field(several(one_of(PRIORITIES, "priority"))),
    "webhook-limit": Field(rate),
    "channel-limit": Field(rate),
}
_OWN = {key.replace("-", "_") for key in FIELDS} - {"webhook", "allow_host"}
