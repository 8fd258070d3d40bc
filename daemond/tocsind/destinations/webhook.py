"""Any program that takes JSON over HTTP, one signal a request, as Standard Webhooks describes.

    webhook-id          the signal's id, the same on every try: a receiver drops what it has seen
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
from typing import ClassVar, Final

import msgspec

from tocsind.clock import SystemClock
from tocsind.config.kinds.webhook import WebhookOptions, key_of
from tocsind.policy.delivery import Delivery
from tocsind.rendering.webhook import alertmanager, standard
from tocsind.secret import Secret

from .base import HttpDestination, HttpRequest
from .http import Body, HttpClient
from .response import Response
from .table import ANY_SERVICE, Row, refused

FORMATS: Final = {"standard": standard, "alertmanager": alertmanager}


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

    def __init__(self, options: WebhookOptions, client: HttpClient, clock: SystemClock | None = None) -> None:
        super().__init__(options, client)
        self._clock = clock or SystemClock()

    def request(self, batch: Sequence[Delivery]) -> HttpRequest:
        (delivery,) = batch
        wall = self._clock.wall()
        payload = FORMATS[self.options.format](delivery, wall)
        content = msgspec.json.encode(payload)
        headers: dict[str, str | Secret] = {
            **self.options.headers,
            **signature(delivery.id, int(wall), content, self.options.secrets),
        }
        assert self.options.target is not None, "a lane without a URL is disabled and sends nothing"
        return HttpRequest(self.options.target, Body("application/json", [content]), payload, headers=headers)


def signature(id_: str, at: int, content: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """The headers of a request that is sent at Unix time `at`."""
    signed = f"{id_}.{at}.".encode() + content
    each = [f"v1,{b64encode(hmac.new(key_of(secret), signed, sha256).digest()).decode()}" for secret in secrets]
    return {"webhook-id": id_, "webhook-timestamp": str(at)} | ({"webhook-signature": " ".join(each)} if each else {})
