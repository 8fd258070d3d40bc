"""The keys of a Discord destination, and what they make."""

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
_SOMEBODY = ("role", "user")


def options(spot: Location, found: Mapping[str, Any]) -> tuple[DiscordOptions, str | None]:
    """What the keys make, and why it cannot be used, if so."""
    sought: SecretSource = found.get("webhook", SecretSource())
    url = _normal(spot.at("webhook"), sought, allow_host=found.get("allow_host", False))
    own = {key: value for key, value in found.items() if key in _OWN}
    return DiscordOptions(webhook=url, **own), sought.reason


def _normal(spot: Location, sought: SecretSource, *, allow_host: bool) -> Secret | None:
    if sought.secret is None:
        return None
    try:
        return Secret(webhook_url.normalise(sought.secret.reveal(), allow_host=allow_host))
    except ValueError as complaint:
        spot.wrong(f"{sought.called} {complaint}")
        return None


def _username(spot: Location) -> str:
    name = text(spot).strip()
    if len(name) > 80 or any(word in name.lower() for word in ("clyde", "discord")):
        raise Mistake('Discord takes up to 80 characters without "clyde" and "discord"')
    return name


def _mention(spot: Location) -> dict[str, tuple[str, ...]]:
    """Whom each priority wakes. A priority that wakes nobody is as good as one that is not there."""
    found = read_table(spot, {priority: Field(_some) for priority in PRIORITIES})
    return {priority: some for priority, some in found.items() if some}


def _some(spot: Location) -> tuple[str, ...]:
    found = several(_one)(spot)
    if len(found) > MOST_MENTIONS:
        raise Mistake(f"mentions at most {MOST_MENTIONS}")
    return found


def _one(spot: Location) -> str:
    word = text(spot)
    kind, colon, id_ = word.partition(":")
    if word in _ALL:
        return word
    if not colon:
        raise Mistake(f"{shown(word)} is nobody; {did_you_mean(word, (*_ALL, 'role:ID', 'user:ID'))}")
    if kind not in _SOMEBODY:
        raise Mistake(f"nobody is called {shown(word)}; {did_you_mean(kind, _SOMEBODY)}")
    if not re.fullmatch(r"[0-9]{1,20}", id_):
        raise Mistake(f"{shown(word)} has no ID; it is the number that Discord's developer mode copies")
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
