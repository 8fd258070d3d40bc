"""Any program that takes JSON over HTTP, one signal a request, as Standard Webhooks describes.

    webhook-id          the signal's id, the same on every try: a receiver drops what it has seen. A repetition (`repeat`) has a
                        number of its own: it is meant to be seen again
    webhook-timestamp   Unix seconds of this try
    webhook-signature   v1,BASE64(HMAC-SHA256(secret, "id.timestamp.body")), one for each secret, with a blank between

So the destination is repeatable: a request without an answer is sent again without a mark. The bytes that are signed are the bytes that
are sent. There is no plain format: a refused signal is refused.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final

import msgspec

from tocsind.clock import Clock
from tocsind.config.kinds.webhook import WebhookOptions, key_of
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Delivered, Report
from tocsind.policy.story import ends_story
from tocsind.rendering.webhook import alertmanager, standard
from tocsind.secret import Secret

from .base import HttpDestination, HttpRequest
from .http import Body, HttpClient
from .response import Response
from .table import ANY_SERVICE, Row, refused

MAX_STORIES: Final = 10_000  # keys; the oldest are forgotten first


class WebhookResponse(Response):
    """What any server answers. A text says why it refuses."""

    service = "the webhook"

    @property
    def words(self) -> str:
        return super().words or self.text


TABLE: Final[tuple[Row[Response], ...]] = (Row({400, 413, 415, 422}, None, refused),)


class Webhook(HttpDestination[WebhookOptions]):
    """One receiver."""

    repeatable = True
    response = WebhookResponse
    tables: ClassVar = (TABLE, ANY_SERVICE)

    def __init__(self, options: WebhookOptions, client: HttpClient, clock: Clock | None = None) -> None:
        super().__init__(options, client, clock)
        self._stories = Stories()

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        (delivery,) = batch
        wall = self.clock.wall()
        payload = self._payload(delivery, wall)
        content = msgspec.json.encode(payload)
        headers: dict[str, str | Secret] = {
            **self.options.headers,
            **signature(_id_of(delivery), int(wall), content, self.options.secrets),
        }
        return HttpRequest(self.options.target, Body("application/json", [content]), payload, headers=headers)

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        report = await super().deliver(batch)
        if isinstance(report.outcomes[0], Delivered):
            self._stories.note(batch[0])
        return report

    def _payload(self, delivery: Delivery, wall: float) -> dict[str, Any]:
        if self.options.format == "standard":
            return standard(delivery, wall)
        return alertmanager(delivery, wall, self._stories.began(delivery))


class Stories:
    """When the alert of each key began: Alertmanager's receivers tell alerts apart by labels and `startsAt`.

    Kept in memory only: after a restart an alert that is still open seems to begin again.
    """

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def began(self, delivery: Delivery) -> float | None:
        """When the story of this signal began, in Unix seconds; None when it begins with it."""
        return self._began.get(delivery.signal.key or "")

    def note(self, delivery: Delivery) -> None:
        """A signal arrived."""
        key = delivery.signal.key
        if not key:
            return
        if ends_story(delivery.signal):
            self._began.pop(key, None)
        else:
            self._began.setdefault(key, delivery.accepted)
        while len(self._began) > MAX_STORIES:
            del self._began[next(iter(self._began))]


def _id_of(delivery: Delivery) -> str:
    return f"{delivery.id}-{delivery.repeats}" if delivery.repeats > 0 else delivery.id


def signature(id_: str, at: int, content: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """The headers of a request that is sent at Unix time `at`."""
    signed = f"{id_}.{at}.".encode() + content
    each = [f"v1,{b64encode(hmac.new(key_of(secret), signed, sha256).digest()).decode()}" for secret in secrets]
    return {"webhook-id": id_, "webhook-timestamp": str(at)} | ({"webhook-signature": " ".join(each)} if each else {})
