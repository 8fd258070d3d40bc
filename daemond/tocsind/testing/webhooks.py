"""Webhooks, and the paths under which they are spoken to."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

# An unversioned path is an old one: it goes to API version 6.
_DEFAULT_VERSION: Final = 6
_ROUTE: Final = re.compile(r"/api(?:/v(\d{1,3}))?/webhooks/(\d{1,20})/([^/]+)(?:/messages/(\d{1,20}))?/?")
_FIRST_WEBHOOK: Final = 1_100_000_000_000_000_000
_FIRST_CHANNEL: Final = 1_200_000_000_000_000_000
GUILD: Final = "1000000000000000001"


class Webhook(msgspec.Struct, frozen=True):
    """One webhook; ids are decimal snowflakes, the token is as long as a real one."""

    id: str
    token: str
    channel_id: str
    name: str

    @property
    def path(self) -> str:
        """As pasted from Discord's settings: without a version."""
        return f"/api/webhooks/{self.id}/{self.token}"


class Route(msgspec.Struct, frozen=True):
    """Where a request is aimed."""

    version: int
    webhook_id: str
    token: str
    message_id: str | None

    @property
    def is_known_version(self) -> bool:
        return 6 <= self.version <= 10  # older ones are gone, later ones not there yet


def route_of(path: str) -> Route | None:
    """Read `/api[/vN]/webhooks/ID/TOKEN[/messages/ID]`; None for any other path."""
    match = _ROUTE.fullmatch(path)
    if match is None:
        return None
    version, webhook_id, token, message_id = match.groups()
    return Route(int(version or _DEFAULT_VERSION), webhook_id, token, message_id)


def numbered_channel(number: int) -> str:
    """The id of the n-th channel, the same in every run."""
    return str(_FIRST_CHANNEL + number)


def numbered_webhook(number: int, channel_id: str) -> Webhook:
    """The n-th webhook, the same in every run: a fake that is started again knows its old URLs."""
    token = hashlib.sha512(b"fake webhook %d" % number).hexdigest()[:68]
    return Webhook(str(_FIRST_WEBHOOK + number), token, channel_id, f"Webhook {number}")
