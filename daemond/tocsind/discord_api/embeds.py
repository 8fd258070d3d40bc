"""The embeds of a message: their limits, and the form in which they are stored.

Source: Discord's documentation of embed limits; the sum runs over all embeds of one message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tocsind.discord_api.forms import Faults, Json, brief, link, mapping, objects, text, whole

MOST_EMBEDS: Final = 10
MOST_TITLE: Final = 256
MOST_DESCRIPTION: Final = 4096
MOST_FIELDS: Final = 25
MOST_FIELD_NAME: Final = 256
MOST_FIELD_VALUE: Final = 1024
MOST_FOOTER: Final = 2048
MOST_AUTHOR: Final = 256
MOST_SUM: Final = 6000

_LARGEST_COLOUR: Final = 0xFFFFFF
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?")


def embed_length(embed: Mapping[str, Any]) -> int:
    """What one stored embed adds to the sum of 6,000."""
    texts = [embed.get("title"), embed.get("description")]
    texts += [embed.get("footer", {}).get("text"), embed.get("author", {}).get("name")]
    texts += [part for field in embed.get("fields", ()) for part in (field.get("name"), field.get("value"))]
    return sum(len(part) for part in texts if part)


def read_embeds(body: Json, faults: Faults) -> list[Json]:
    """The embeds of a body as stored: trimmed, unknown keys gone."""
    embeds = [_embed(embed, place) for embed, place in objects(body, "embeds", MOST_EMBEDS, faults)]
    if sum(map(embed_length, embeds)) > MOST_SUM:
        faults.at("embeds").add("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MOST_SUM}")
    return embeds


def _embed(raw: Json, faults: Faults) -> Json:
    embed = {
        "type": "rich",
        "title": text(raw, "title", MOST_TITLE, faults),
        "description": text(raw, "description", MOST_DESCRIPTION, faults),
        "url": link(raw, "url", faults),
        "timestamp": _timestamp(raw, faults),
        "color": _colour(raw, faults),
        "footer": _part(raw, "footer", "text", MOST_FOOTER, faults),
        "author": _part(raw, "author", "name", MOST_AUTHOR, faults),
        "image": _picture(raw, "image", faults),
        "thumbnail": _picture(raw, "thumbnail", faults),
        "fields": [_field(field, place) for field, place in objects(raw, "fields", MOST_FIELDS, faults)] or None,
    }
    stored = {key: value for key, value in embed.items() if value is not None}
    if not stored.keys() - {"type", "url", "color", "timestamp"}:
        faults.at("description").add("BASE_TYPE_REQUIRED", "This field is required")
    return stored


def _field(raw: Json, faults: Faults) -> Json:
    return {
        "name": text(raw, "name", MOST_FIELD_NAME, faults, required=True),
        "value": text(raw, "value", MOST_FIELD_VALUE, faults, required=True),
        "inline": raw.get("inline") is True,
    }


def _part(raw: Json, key: str, named: str, most: int, faults: Faults) -> Json | None:
    """A footer or an author: a required text with an icon beside it."""
    part = mapping(raw, key, faults)
    if part is None:
        return None
    stored = {
        named: text(part, named, most, faults.at(key), required=True),
        "icon_url": link(part, "icon_url", faults.at(key)),
        "url": link(part, "url", faults.at(key)) if named == "name" else None,
    }
    return {name: value for name, value in stored.items() if value is not None}


def _picture(raw: Json, key: str, faults: Faults) -> Json | None:
    picture = mapping(raw, key, faults)
    if picture is None:
        return None
    url = link(picture, "url", faults.at(key))
    if url is None:
        faults.at(key, "url").add("BASE_TYPE_REQUIRED", "This field is required")
    return {"url": url}


def _timestamp(raw: Json, faults: Faults) -> str | None:
    stamp = raw.get("timestamp")
    if stamp is None:
        return None
    if not isinstance(stamp, str) or not _TIMESTAMP.fullmatch(stamp):
        faults.at("timestamp").add("DATE_TIME_TYPE_PARSE", f"Could not parse {brief(stamp)}. Should be ISO8601.")
        return None
    return stamp


def _colour(raw: Json, faults: Faults) -> int | None:
    colour = whole(raw, "color", faults)
    if colour is not None and not 0 <= colour <= _LARGEST_COLOUR:
        bound = f"less than or equal to {_LARGEST_COLOUR}" if colour > 0 else "greater than or equal to 0"
        faults.at("color").add("NUMBER_TYPE_MAX" if colour > 0 else "NUMBER_TYPE_MIN", f"int value should be {bound}.")
    return colour
