"""Slack: an incoming webhook, and the Web API's auth.test, chat.postMessage and chat.update for one bot in one channel.

It checks the blocks as Slack does, permits edits of the bot's own messages only, and counts messages that woke everyone by the text of a
signal (`woken`). `limited` keeps one message a second, with bursts of 25.

Not known, and so not modelled: the true size of bursts; limits of a whole workspace.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.limits import LeakyBucket
from tocsind.testing.service import FakeService, json_reply

BOT: Final = "xoxb-1234567890-FakeTokenOfATestsBot"
CHANNEL: Final = "C0123ABCD"
PATH: Final = "/services/T0123ABCD/B0123ABCD/FakeSecretOfAWebhook0123"
_BURST: Final = 25
_MOST_BLOCKS: Final = 50
_MOST_TEXT: Final = 40_000
_MOST_IN_BLOCKS: Final = 13_200


class SlackService(FakeService):
    """What webhook and bot have in common."""

    kind: ClassVar[str] = "slack"
    switches = frozenset({"limited"})
    limited = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._bucket = LeakyBucket(_BURST, float(_BURST))
        self.woken: list[str] = []  # texts by which a message woke everyone though no mention of its own did

    def is_limited(self) -> bool:
        """Whether a request now is one too many."""
        return self.limited and not self._bucket.take(self.clock.now()).passes

    def saved_as(self, handle: str, values: dict[str, Any]) -> None:
        """Save a message, and notice what it calls out."""
        texts = [_shown(block) for block in values["blocks"] if block["type"] == "rich_text"]
        if "<!" in values["text"]:
            self.woken.append(values["text"])
        title, _, rest = "\n".join(texts).partition("\n")
        self.save(handle, title, rest, values)


class SlackBotService(SlackService):
    """The Web API."""

    def destination(self) -> dict[str, Any]:
        return {
            "kind": "slack",
            "bot-token": {"env": "FAKE_SLACK_BOT"},
            "channel": CHANNEL,
            "api-url": f"{self.url}/api",
        }

    def environment(self) -> dict[str, str]:
        return {"FAKE_SLACK_BOT": BOT}

    def is_query(self, request: Request) -> bool:
        return request.path == "/api/auth.test"

    def process(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {BOT}":
            return _error("invalid_auth")
        values = msgspec.json.decode(request.body or b"{}")
        match request.path:
            case "/api/auth.test":
                return _ok({"team": "t", "user": "bot"})
            case "/api/chat.postMessage":
                return self._post(values)
            case "/api/chat.update":
                return self._update(values)
        return _error("unknown_method")

    def _post(self, values: dict[str, Any]) -> Reply:
        if self.is_limited():
            return self.limited_reply(1.0)
        if values["channel"] != CHANNEL:
            return _error("channel_not_found")
        if problem := problem_of(values):
            return _error(problem)
        time = f"1767225600.{len(self.saved) + 1:06}"
        self.saved_as(time, values)
        return _ok({"channel": CHANNEL, "ts": time})

    def _update(self, values: dict[str, Any]) -> Reply:
        if self.is_limited():
            return self.limited_reply(1.0)
        if not any(each.handle == values["ts"] for each in self.saved):
            return _error("message_not_found")
        if problem := problem_of(values):
            return _error(problem)
        self.saved_as(values["ts"], values)
        return _ok({"channel": CHANNEL, "ts": values["ts"]})

    def limited_reply(self, wait: float) -> Reply:
        return json_reply(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": f"{max(wait, 1):.0f}"})

    def gone_reply(self) -> Reply:
        return _error("account_inactive")

    def rejected_reply(self) -> Reply:
        return _error("invalid_blocks")

    def error_reply(self, status: int, words: str) -> Reply:
        return json_reply(status, {"ok": False, "error": words})


class SlackWebhookService(SlackService):
    """An incoming webhook."""

    def destination(self) -> dict[str, Any]:
        return {"kind": "slack", "webhook": {"env": "FAKE_SLACK_WEBHOOK"}}

    def environment(self) -> dict[str, str]:
        return {"FAKE_SLACK_WEBHOOK": f"{self.url}{PATH}"}

    def process(self, request: Request) -> Reply:
        if request.path != PATH:
            return _word(404, "no_service")
        if self.is_limited():
            return self.limited_reply(1.0)
        values = msgspec.json.decode(request.body)
        if problem := problem_of(values):
            return _word(400, problem)
        self.saved_as(str(len(self.saved) + 1), values)
        return _word(200, "ok")

    def limited_reply(self, wait: float) -> Reply:
        body = {"retry_after": max(wait, 1), "ok": False, "error": "rate_limited"}
        return json_reply(429, body, {"Retry-After": f"{max(wait, 1):.0f}"})

    def gone_reply(self) -> Reply:
        return _word(404, "no_service")

    def rejected_reply(self) -> Reply:
        return _word(400, "invalid_blocks")


def problem_of(values: dict[str, Any]) -> str | None:
    """The word with which Slack would refuse a message."""
    blocks = values.get("blocks", [])
    if not values.get("text") and not blocks:
        return "no_text"
    if len(values.get("text", "")) > _MOST_TEXT:
        return "msg_too_long"
    texts = [element for block in blocks if block["type"] == "rich_text" for element in _texts(block)]
    if len(blocks) > _MOST_BLOCKS or any(not text for text in texts):
        return "invalid_blocks"
    return "msg_blocks_too_long" if sum(map(len, texts)) > _MOST_IN_BLOCKS else None


def _texts(block: dict[str, Any]) -> list[str]:
    return [text["text"] for element in block["elements"] for text in element["elements"]]


def _shown(block: dict[str, Any]) -> str:
    return "\n".join(_texts(block))


def _ok(values: dict[str, Any]) -> Reply:
    return json_reply(200, {"ok": True, **values})


def _error(word: str) -> Reply:
    return json_reply(200, {"ok": False, "error": word})


def _word(status: int, word: str) -> Reply:
    return Reply(status, {"Content-Type": "text/html"}, word.encode())
