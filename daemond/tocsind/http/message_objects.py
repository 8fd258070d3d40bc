"""The message object of Discord's API, for a message that is stored here: what a webhook's owner would look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from .message_ids import alias_of, seconds_of

EDITED: Final = "edited_timestamp"  # in the payload of a stored message: the Unix time of its last edit
SHOWN_FILES: Final = (
    "shown_attachments"  # the same: its files after the edits; `attachments` names those that came with it
)


def files_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of the files that a message has now."""
    return list(payload.get(SHOWN_FILES, payload.get("attachments")) or ())


def message_object(snowflake: int, destination: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A message of `destination`."""
    edited = payload.get(EDITED)
    webhook = alias_of(destination)
    author = {"id": webhook, "bot": True, "username": payload.get("username") or destination, "discriminator": "0000"}
    return {
        "id": str(snowflake),
        "type": 0,
        "content": payload.get("content") or "",
        "channel_id": str(payload.get("thread_id") or webhook),
        "author": author | {"avatar": None, "global_name": None, "flags": 0},
        "attachments": [_attachment(snowflake + 1 + place, each) for place, each in enumerate(files_of(payload))],
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
        "id": str(snowflake),
        "filename": name,
        "size": entry.get("size") or 0,
        "url": at,
        "proxy_url": at,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
