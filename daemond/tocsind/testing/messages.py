"""The messages a fake Discord holds: its memory, and its testimony of what it accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from tocsind.discord_api.forms import Json
from tocsind.testing.mentions import Mentions, mentions_of
from tocsind.testing.webhooks import Webhook

# Snowflakes count milliseconds from here, above 22 bits of worker and sequence.
_DISCORD_EPOCH_MS: Final = 1_420_070_400_000
_MOST_VERSIONS: Final = 100


class Moment(msgspec.Struct, frozen=True):
    """One instant on the clocks that matter; they need not agree."""

    steady: float
    """Seconds on the clock the limiters count by; never runs backwards."""
    wall: float
    """Seconds since the epoch, true."""
    server: float
    """Seconds since the epoch, as the server believes."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message. What was deleted stays in the log and says so."""

    number: int
    """Place in the log, from 1, without gaps."""
    at: float
    """Acceptance, seconds since the epoch."""
    steady: float
    """Acceptance, seconds on the limiters' clock: for measuring distances."""
    message_id: str
    webhook_id: str | None
    """None for a foreign post: someone else's bot in the same channel."""
    channel_id: str
    thread_id: str | None = None
    payload: Json
    """As stored: trimmed, after the last edit."""
    server_time: float
    edits: int = 0
    versions: tuple[Json, ...] = ()
    """What it said before each edit, the oldest first; the oldest leave when there are many."""
    deleted: bool = False

    @property
    def mentions(self) -> Mentions:
        return mentions_of(self.payload.get("content"), self.payload.get("allowed_mentions"))

    def as_discord(self, author: str) -> Json:
        """The message object of Discord's API, as far as a webhook's owner would look."""
        stamp = datetime.fromtimestamp(self.server_time, UTC).isoformat()
        return {
            "id": self.message_id,
            "type": 0,
            "content": self.payload.get("content", ""),
            "channel_id": self.thread_id or self.channel_id,
            "author": {"id": self.webhook_id, "bot": True, "username": author, "discriminator": "0000"},
            "attachments": self.payload.get("attachments", []),
            "embeds": self.payload.get("embeds", []),
            "mentions": [{"id": user} for user in self.mentions.users],
            "mention_roles": list(self.mentions.roles),
            "mention_everyone": self.mentions.everyone,
            "pinned": False,
            "tts": self.payload.get("tts", False),
            "timestamp": stamp,
            "edited_timestamp": stamp if self.edits else None,
            "flags": self.payload.get("flags", 0),
            "components": [],
            "webhook_id": self.webhook_id,
        }


class MessageLog:
    """Messages in the order of acceptance; at most `keep`, the oldest leave first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._by_id: dict[str, Message] = {}
        self._numbered = 0
        self._last_id = 0

    def __iter__(self) -> Iterator[Message]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def add(
        self, payload: Json, *, at: Moment, channel_id: str, by: Webhook | None, thread_id: str | None = None
    ) -> Message:
        self._numbered += 1
        message = Message(
            number=self._numbered,
            at=at.wall,
            steady=at.steady,
            message_id=self._next_id(at.server),
            webhook_id=by.id if by else None,
            channel_id=channel_id,
            thread_id=thread_id,
            payload=payload,
            server_time=at.server,
        )
        self._by_id[message.message_id] = message
        if len(self._by_id) > self._keep:
            del self._by_id[next(iter(self._by_id))]
        return message

    def find(self, message_id: str, webhook_id: str) -> Message | None:
        """A living message of that webhook."""
        message = self._by_id.get(message_id)
        if message is None or message.deleted or message.webhook_id != webhook_id:
            return None
        return message

    def edit(self, message: Message, payload: Json) -> Message:
        versions = (*message.versions, message.payload)[-_MOST_VERSIONS:]
        edited = msgspec.structs.replace(message, payload=payload, edits=message.edits + 1, versions=versions)
        self._by_id[message.message_id] = edited
        return edited

    def remove(self, message: Message) -> None:
        self._by_id[message.message_id] = msgspec.structs.replace(message, deleted=True)

    def _next_id(self, server_time: float) -> str:
        # A clock set back must not give an id twice.
        wanted = (int(server_time * 1000) - _DISCORD_EPOCH_MS) << 22
        self._last_id = max(wanted, self._last_id + 1)
        return str(self._last_id)
