"""What Discord accepts as a message, and the form in which it keeps it.

Source: Discord's documentation of messages and webhooks, and error bodies in other libraries' issue trackers.
Components are counted and otherwise not looked at. Those of a message that has not asked for them (`with_components`) are dropped, as they
are for a webhook that belongs to no application.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tocsind.discord_api.embeds import read_embeds
from tocsind.discord_api.forms import Faults, Json, link, mapping, names, objects, text, whole

MOST_CONTENT: Final = 2000
MOST_USERNAME: Final = 80

_FORBIDDEN_PARTS: Final = ("clyde", "discord")
_FORBIDDEN_NAMES: Final = ("everyone", "here")
_PARSEABLE: Final = ("everyone", "roles", "users")
COMPONENTS_V2: Final = 1 << 15
"""A message of components only."""

MOST_COMPONENTS: Final = 40
MOST_QUESTION: Final = 300
MOST_ANSWERS: Final = 10
MOST_ANSWER: Final = 55
MOST_HOURS: Final = 32 * 24

# Only these may be set by a sender: SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS and IS_COMPONENTS_V2.
_FLAGS: Final = 4 | 4096 | COMPONENTS_V2
_LEGACY: Final = ("content", "embeds", "poll")


class Checked(msgspec.Struct, frozen=True):
    """The outcome of reading a body."""

    payload: Json
    """As stored: trimmed, unknown keys gone. Worth nothing while there are errors."""
    errors: Json

    @property
    def is_empty(self) -> bool:
        """Nothing for a reader to see: Discord's 50006, which is not a form error."""
        return not any(self.payload.get(part) for part in ("content", "embeds", "attachments", "poll", "components"))


def check(body: Any, *, with_components: bool = False) -> Checked:
    """Read the body of an execute or an edit; anything that is no object is a form error of its own."""
    faults = Faults()
    if not isinstance(body, dict):
        faults.add("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return Checked({}, faults.tree)
    payload: Json = {
        "content": text(body, "content", MOST_CONTENT, faults),
        "username": _username(body, faults),
        "avatar_url": link(body, "avatar_url", faults),
        "tts": body.get("tts") is True,
        "flags": _flags(body, faults),
        "embeds": read_embeds(body, faults),
        "allowed_mentions": _allowed_mentions(body, faults),
        "poll": _poll(body, faults),
        "components": (list(_components(body, faults)) or None) if with_components else None,
    }
    if payload["flags"] & COMPONENTS_V2:
        _check_components_only(payload, faults)
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


def _components(body: Json, faults: Faults) -> Iterator[Json]:
    for component, place in objects(body, "components", MOST_COMPONENTS, faults):
        if whole(component, "type", place) is None:
            place.at("type").add("BASE_TYPE_REQUIRED", "This field is required")
        yield component


def _check_components_only(payload: Json, faults: Faults) -> None:
    for part in _LEGACY:
        if payload.get(part):
            message = f"The '{part}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            faults.at(part).add("MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", message)


def _poll(body: Json, faults: Faults) -> Json | None:
    poll = mapping(body, "poll", faults)
    if poll is None:
        return None
    here = faults.at("poll")
    question = mapping(poll, "question", here) or {}
    text(question, "text", MOST_QUESTION, here.at("question"), required=True)
    answers = list(objects(poll, "answers", MOST_ANSWERS, here))
    if not answers:
        here.at("answers").add("BASE_TYPE_REQUIRED", "This field is required")
    for answer, place in answers:
        media = mapping(answer, "poll_media", place) or {}
        text(media, "text", MOST_ANSWER, place.at("poll_media"), required=True)
    hours = whole(poll, "duration", here)
    if hours is not None and not 1 <= hours <= MOST_HOURS:
        here.at("duration").add(
            "NUMBER_TYPE_MAX" if hours > 0 else "NUMBER_TYPE_MIN", f"int value should be 1 to {MOST_HOURS}."
        )
    return poll


def _flags(body: Json, faults: Faults) -> int:
    return (whole(body, "flags", faults) or 0) & _FLAGS
