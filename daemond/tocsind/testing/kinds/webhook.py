"""A receiver of Standard Webhooks: it verifies signature and time, and recognizes what it has seen by `webhook-id`.

Not part of the standard, and so not checked: what is in the body beyond `type`, `timestamp` and `data`.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any, ClassVar, Final

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.service import FakeService, json_reply

SECRET: Final = f"whsec_{b64encode(b'a fake signing secret of 32 byte').decode()}"
PATH: Final = "/hooks/a-Path-that-Is-Secret-5417"
_TOLERANCE: Final = 300.0  # seconds


class WebhookService(FakeService):
    """One receiver at one path."""

    kind: ClassVar[str] = "webhook"

    def destination(self) -> dict[str, Any]:
        return {"kind": "webhook", "url": {"env": "FAKE_WEBHOOK_URL"}, "secret": {"env": "FAKE_WEBHOOK_SECRET"}}

    def environment(self) -> dict[str, str]:
        return {"FAKE_WEBHOOK_URL": f"{self.url}{PATH}", "FAKE_WEBHOOK_SECRET": SECRET}

    def process(self, request: Request) -> Reply:
        if request.path != PATH:
            return json_reply(404, {"error": "not found"})
        if request.method != "POST":
            return json_reply(405, {"error": "method not allowed"})
        if problem := _problem(request, self.clock.wall()):
            return json_reply(401, {"error": problem})
        id_ = request.headers["webhook-id"]
        if self.recognize(id_) is None:
            body = msgspec.json.decode(request.body)
            data = body.get("data", {})
            self.save(id_, data.get("title", ""), data.get("body", ""), body)
        return json_reply(200, {"ok": True})

    def gone_reply(self) -> Reply:
        return Reply(410)


def _problem(request: Request, now: float) -> str | None:
    """Why a request is not to be trusted."""
    id_, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    if not id_ or not at.isdecimal():
        return "webhook-id or webhook-timestamp is missing"
    if abs(now - int(at)) > _TOLERANCE:
        return "the timestamp is too old or too new"
    signed = f"{id_}.{at}.".encode() + request.body
    digest = hmac.new(b64decode(SECRET.removeprefix("whsec_")), signed, sha256).digest()
    right = f"v1,{b64encode(digest).decode()}"
    given = request.headers.get("webhook-signature", "").split()
    return None if any(hmac.compare_digest(right, each) for each in given) else "no signature fits"
