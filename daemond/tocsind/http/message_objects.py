"""The message object of Discord's API, for a message that is stored here: what a webhook's owner would look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .message_ids import alias_of, seconds_of


def message_object(
    snowflake: int, destination: str, payload: Mapping[str, Any], edited: float | None = None
) -> dict[str, Any]:
    """A message of `destination`. `edited` is the Unix time of its last edit."""
    webhook = alias_of(destination)
    author = {"id": webhook, "bot": True, "username": payload.get("username") or destination, "discriminator": "0000"}
    return {
        "id": str(snowflake),
        "type": 0,
        "content": payload.get("content") or "",
        "channel_id": str(payload.get("thread_id") or webhook),
        "author": author | {"avatar": None, "global_name": None, "flags": 0},
        "attachments": [_attachment(snowflake, each) for each in payload.get("attachments") or ()],
        "embeds": [{"type": "rich", **embed} for embed in payload.get("embeds") or () if isinstance(embed, dict)],
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "pinned": False,
        "tts": payload.get("tts") is True,
        "timestamp": _iso(seconds_of(snowflake)),
        "edited_timestamp": None if edited is None else _iso(edited),
        "flags": payload.get("flags") or 0,
        "components": payload.get("components") or [],
        "webhook_id": webhook,
    }


def webhook_object(destination: str, token: str) -> dict[str, Any]:
    """The webhook that a destination is."""
    return {
        "id": alias_of(destination),
        "type": 1,
        "name": destination,
        "avatar": None,
        "channel_id": alias_of(destination),
        "guild_id": None,
        "application_id": None,
        "token": token,
    }


def _attachment(snowflake: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    name = str(entry.get("filename"))
    at = f"attachment://{name}"  # the file is stored here, and cannot be read back
    return {
        "id": str(snowflake + 1 + int(entry.get("id") or 0)),
        "filename": name,
        "size": entry.get("size") or 0,
        "url": at,
        "proxy_url": at,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
