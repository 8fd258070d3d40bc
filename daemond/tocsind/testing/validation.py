"""What Discord accepts as a message, and the form in which it keeps it.

Source: Discord's documentation of messages and webhooks, and error bodies in other libraries' issue trackers.
Not looked at: components, polls, stickers. A message that has nothing else is empty here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tocsind.testing.embeds import read_embeds
from tocsind.testing.forms import Faults, Json, link, mapping, names, text, whole

MOST_CONTENT: Final = 2000
MOST_USERNAME: Final = 80

_FORBIDDEN_PARTS: Final = ("clyde", "discord")
_FORBIDDEN_NAMES: Final = ("everyone", "here")
_PARSEABLE: Final = ("everyone", "roles", "users")
# Only these may be set by a sender: SUPPRESS_EMBEDS and SUPPRESS_NOTIFICATIONS.
_FLAGS: Final = 4 | 4096


class Checked(msgspec.Struct, frozen=True):
    """The outcome of reading a body."""

    payload: Json
    """As stored: trimmed, unknown keys gone. Worth nothing while there are errors."""
    errors: Json

    @property
    def is_empty(self) -> bool:
        """Nothing for a reader to see: Discord's 50006, which is not a form error."""
        return not any(self.payload.get(part) for part in ("content", "embeds", "attachments"))


def check(body: Any) -> Checked:
    """Read the body of an execute or an edit; anything that is no object is a form error of its own."""
    faults = Faults()
    if not isinstance(body, dict):
        faults.add("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return Checked({}, faults.tree)
    payload = {
        "content": text(body, "content", MOST_CONTENT, faults),
        "username": _username(body, faults),
        "avatar_url": link(body, "avatar_url", faults),
        "tts": body.get("tts") is True,
        "flags": _flags(body, faults),
        "embeds": read_embeds(body, faults),
        "allowed_mentions": _allowed_mentions(body, faults),
    }
    return Checked({key: value for key, value in payload.items() if value is not None}, faults.tree)


def _username(body: Json, faults: Faults) -> str | None:
    name = text(body, "username", MOST_USERNAME, faults)
    if name is None:
        return None
    for part in _FORBIDDEN_PARTS:
        if part in name.lower():
            faults.at("username").add("USERNAME_INVALID_CONTAINS", f'Username cannot contain "{part}"')
    if name.lower() in _FORBIDDEN_NAMES:
        faults.at("username").add("USERNAME_INVALID", f'Username cannot be "{name.lower()}"')
    return name


def _allowed_mentions(body: Json, faults: Faults) -> Json | None:
    allowed = mapping(body, "allowed_mentions", faults)
    if allowed is None:
        return None
    here = faults.at("allowed_mentions")
    stored = {key: listed for key in ("parse", "roles", "users") if (listed := names(allowed, key, here)) is not None}
    parse = stored.get("parse", [])
    for place, kind in enumerate(parse):
        if kind not in _PARSEABLE:
            here.at("parse", place).add("BASE_TYPE_CHOICES", f"Value must be one of {_PARSEABLE}.")
    for kind in ("roles", "users"):
        if kind in parse and stored.get(kind):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            here.add("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
    return stored


def _flags(body: Json, faults: Faults) -> int:
    return (whole(body, "flags", faults) or 0) & _FLAGS
