"""An ntfy server: limits of a client, limits in bytes, sequence ids.

A real server's limits without a configuration: 60 requests and one more every 5 s, answered 429 without a time; a text over 4,096 bytes
becomes a file, silently; a JSON body over 8,192 bytes is refused. `is_old`: a server before 2.16, which ignores sequence ids. What a phone
shows is not known here.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.service import FakeService, json_reply

TOPIC: Final = "a-topic-that-is-secret-5417"
TOKEN: Final = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"  # noqa: S105 - of a fake
MAX_TEXT: Final = 4096
MAX_JSON: Final = 8192
BURST: Final = 60
REFILL: Final = 5.0  # s
DAILY: Final = 250


class NtfyService(FakeService):
    """One server with one topic, which the token's account may write to."""

    kind: ClassVar[str] = "ntfy"
    switches = frozenset({"is_old", "is_open", "limited"})
    is_old = False
    is_open = False  # whether the topic takes messages without a token
    limited = False  # whether the limits of a client apply

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._left = float(BURST)
        self._refilled = 0.0
        self._today = 0

    def destination(self) -> dict[str, Any]:
        return {
            "kind": "ntfy",
            "server": self.url,
            "topic": {"env": "FAKE_NTFY_TOPIC"},
            "token": {"env": "FAKE_NTFY_TOKEN"},
        }

    def environment(self) -> dict[str, str]:
        return {"FAKE_NTFY_TOPIC": TOPIC, "FAKE_NTFY_TOKEN": TOKEN}

    def is_query(self, request: Request) -> bool:
        return request.method == "GET"

    def process(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._shown(request)
        if self.limited and not self._take():
            return _error(429, 42901, "limit reached: too many requests")
        if (request.method, request.path) not in {("POST", "/"), ("PUT", "/")}:
            return _error(404, 40401, "page not found")
        if not self.is_open and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, 40101, "unauthorized")
        if len(request.body) > MAX_JSON:
            return _error(413, 41303, "JSON body too large")
        return self._publish(msgspec.json.decode(request.body))

    def _shown(self, request: Request) -> Reply:
        """Every request with a token that is not known is refused; without one, the client is anonymous."""
        if request.headers.get("authorization", f"Bearer {TOKEN}") != f"Bearer {TOKEN}":
            return _error(401, 40101, "unauthorized")
        known = {"/v1/health": {"healthy": True}, "/v1/account": {"username": "*", "role": "anonymous"}}
        found = known.get(request.path)
        return json_reply(200, found) if found else _error(404, 40401, "page not found")

    def _publish(self, body: dict[str, Any]) -> Reply:
        topic = body.get("topic", "")
        if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", topic):
            return _error(400, 40009, "invalid request: topic invalid")
        if topic != TOPIC:
            return _error(403, 40301, "forbidden")
        if not 1 <= body.get("priority", 3) <= 5:
            return _error(400, 40007, "invalid request: priority invalid")
        if self.limited and self._today >= DAILY:
            return _error(429, 42908, "limit reached: daily message quota reached")
        self._today += 1
        return json_reply(200, self._stored(body))

    def _stored(self, body: dict[str, Any]) -> dict[str, Any]:
        text, sequence = body.get("message") or "triggered", body.get("sequence_id")
        if text == "triggered":
            self.violations.append("a message without text")
        if len(text.encode()) > MAX_TEXT:
            self.violations.append("a text that became a file")
            text = f"You received a file: {body.get('filename', 'attachment.txt')}"
        id_ = f"m{self._today}"
        handle = id_ if self.is_old or not sequence else sequence
        self.save(handle, body.get("title", ""), text, body)
        known = {} if handle == id_ else {"sequence_id": sequence}
        return {
            "id": id_,
            "time": int(self.clock.wall()),
            "event": "message",
            "topic": body["topic"],
            "message": text,
            **known,
        }

    def _take(self) -> bool:
        now = self.clock.wall()
        self._left = min(BURST, self._left + (now - self._refilled) / REFILL)
        self._refilled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def limited_reply(self, wait: float) -> Reply:
        """With a time, as a proxy before the server would send it."""
        return msgspec.structs.replace(
            _error(429, 42901, "limit reached: too many requests"),
            headers={"Content-Type": "application/json", "Retry-After": f"{wait:g}"},
        )

    def error_reply(self, status: int, words: str) -> Reply:
        return _error(status, status * 100 + 1, words)

    def gone_reply(self) -> Reply:
        return _error(403, 40301, "forbidden")

    def rejected_reply(self) -> Reply:
        return _error(400, 40024, "invalid request: message body must be JSON")


def _error(status: int, code: int, words: str) -> Reply:
    return json_reply(status, {"code": code, "http": status, "error": words, "link": "https://ntfy.sh/docs/publish/"})
