"""Telegram's Bot API with one bot and one group: methods getMe, getChat, sendMessage and editMessageText, as tdlib's server answers them.

It keeps the published limits, for messages and edits together: one a second and 20 a minute in a group (`per_second`, `per_minute`; None:
no limit), and checks entities, lengths and ids. On demand (`migrate_to`) the group is upgraded: its old id answers with the new one.

Not known, and so not modelled: the true limits; which methods count for the limit of the whole bot.
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, Final

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing.service import FakeService, json_reply

BOT: Final = "123456789:AAFakeTokenOfATestsBot_0123456789abcdef"
CHAT: Final = -1001234567890
_KINDS: Final = frozenset({"bold", "italic", "code", "pre"})
_MOST: Final = 4096  # UTF-16 units of a text


class TelegramService(FakeService):
    """One bot in one group."""

    kind: ClassVar[str] = "telegram"

    def __init__(self, port: int = 0, *, per_second: int | None = None, per_minute: int | None = None) -> None:
        super().__init__(port)
        self.chat = CHAT
        self.migrate_to: int | None = None
        self.silent: list[str] = []  # handles of messages that made no sound
        self._windows = [(1.0, per_second, deque[float]()), (60.0, per_minute, deque[float]())]

    def destination(self) -> dict[str, Any]:
        return {"kind": "telegram", "bot-token": {"env": "FAKE_TELEGRAM"}, "chat-id": CHAT, "api-url": self.url}

    def environment(self) -> dict[str, str]:
        return {"FAKE_TELEGRAM": BOT}

    def is_query(self, request: Request) -> bool:
        return request.path.endswith(("/getMe", "/getChat"))

    def process(self, request: Request) -> Reply:
        token, _, method = request.path.removeprefix("/bot").partition("/")
        if token != BOT:
            return _error(401, "Unauthorized")
        try:
            values = msgspec.json.decode(request.body or b"{}")
        except msgspec.DecodeError:
            return _error(400, "Bad Request: can't parse the request")
        return self._call(method, values)

    def _call(self, method: str, values: dict[str, Any]) -> Reply:
        if method == "getMe":
            return _result({"id": int(BOT.partition(":")[0]), "is_bot": True, "username": "fake_bot"})
        if problem := self._wrong_chat(values):
            return problem
        match method:
            case "getChat":
                return _result({"id": self.chat, "type": "supergroup", "title": "alerts"})
            case "sendMessage":
                return self._limited() or self._checked(values) or self._send(values)
            case "editMessageText":
                return self._limited() or self._checked(values) or self._edit(values)
        return _error(404, "Not Found")

    def _wrong_chat(self, values: dict[str, Any]) -> Reply | None:
        if self.migrate_to is not None and values.get("chat_id") == str(self.chat):
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            return _error(400, text, {"migrate_to_chat_id": self.migrate_to})
        known = {str(self.chat)} if self.migrate_to is None else {str(self.migrate_to)}
        return None if values.get("chat_id") in known else _error(400, "Bad Request: chat not found")

    def _limited(self) -> Reply | None:
        now = self.clock.now()
        for seconds, most, times in self._windows:
            while times and times[0] <= now - seconds:
                times.popleft()
            if most is not None and len(times) >= most:
                return self.limited_reply(times[0] + seconds - now)
        for _, _, times in self._windows:
            times.append(now)
        return None

    def _checked(self, values: dict[str, Any]) -> Reply | None:
        text = str(values.get("text", ""))
        units = text.encode("utf-16-le")
        if not text.strip():
            return _error(400, "Bad Request: message text is empty")
        if len(units) > 2 * _MOST:
            return _error(400, "Bad Request: message is too long")
        for entity in values.get("entities", ()):
            start, end = entity["offset"], entity["offset"] + entity["length"]
            if entity["type"] not in _KINDS or entity["length"] < 1 or 2 * end > len(units):
                return _error(400, "Bad Request: entity is out of the text")
            units[2 * start : 2 * end].decode("utf-16-le")  # raises within a character
        return None

    def _send(self, values: dict[str, Any]) -> Reply:
        saved = self.save(str(len(self.saved) + 1), *_shown(values), values)
        if values.get("disable_notification"):
            self.silent.append(saved.handle)
        return self._message(saved.handle)

    def _edit(self, values: dict[str, Any]) -> Reply:
        handle = str(values.get("message_id"))
        old = next((each for each in self.saved if each.handle == handle), None)
        if old is None:
            return _error(400, "Bad Request: message to edit not found")
        if old.body["text"] == values["text"] and old.body["entities"] == values["entities"]:
            return _error(400, "Bad Request: message is not modified: specified new message content is the same")
        self.save(handle, *_shown(values), values)
        return self._message(handle)

    def _message(self, handle: str) -> Reply:
        return _result({"message_id": int(handle), "chat": {"id": self.migrate_to or self.chat}, "date": 0})

    def limited_reply(self, wait: float) -> Reply:
        seconds = max(1, -int(-wait // 1))
        text = f"Too Many Requests: retry after {seconds}"
        return _error(429, text, {"retry_after": seconds}, {"Retry-After": str(seconds)})

    def error_reply(self, status: int, words: str) -> Reply:
        return _error(status, words)

    def gone_reply(self) -> Reply:
        return _error(401, "Unauthorized")

    def rejected_reply(self) -> Reply:
        return _error(400, "Bad Request: this is rejected")


def _shown(values: dict[str, Any]) -> tuple[str, str]:
    title, _, rest = str(values["text"]).partition("\n\n")
    return title, rest


def _result(value: dict[str, Any]) -> Reply:
    return json_reply(200, {"ok": True, "result": value})


def _error(
    status: int, text: str, parameters: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Reply:
    body = {"ok": False, "error_code": status, "description": text}
    return json_reply(status, body | ({"parameters": parameters} if parameters else {}), headers or {})
