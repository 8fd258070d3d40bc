"""Payloads: a signal may carry a Discord message that goes out as it is.

A payload is a JSON object as Discord's Execute Webhook takes it: `content`, `embeds`, `username`, `avatar_url`, `components`, `poll`,
`flags`, `tts`, `allowed_mentions`; and `thread_id` and `with_components`, which travel in the query there. `{"deleted": true}` deletes
the message of its key. Every other destination, `why` and the queue show the text of a payload, which is read here.
"""

from __future__ import annotations

import json

from .signals import BODY, FIELD_NAMES, LARGEST_WHOLE, LINK, TITLE, well_formed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOST_BYTES = 64 * 1024  # as JSON; Discord's own limits come to less
DELETED = "a message was deleted"
NO_TEXT = "a message without text"
_MARK = "…"
_SHOWN = ("content", "embeds", "components", "poll")
_KEYS = frozenset(
    (*_SHOWN, "username", "avatar_url", "flags", "tts", "allowed_mentions", "thread_id", "thread_name", "applied_tags", "attachments")
)  # fmt: skip
_DEEPEST = 8  # components within components


class TooLarge(ValueError):  # noqa: N818 - names the condition
    """A payload is larger than MOST_BYTES; `payload` is what was given."""

    def __init__(self, payload: Any) -> None:
        super().__init__("too large")
        self.payload = payload


def is_message(value: Any) -> bool:
    """Whether `value` maps what Execute Webhook takes: something to show, and no key of anything else. Never raises."""
    try:
        return hasattr(type(value), "keys") and _KEYS.issuperset(value) and any(value.get(name) for name in _SHOWN)
    except Exception:  # noqa: BLE001 - a foreign mapping may raise anything
        return False


def gathered(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The names and values of a signal; a Discord message among them, given as the signal itself, is its `payload`."""
    message = {name: value for name, value in pairs if type(name) is str and name not in FIELD_NAMES}
    if not is_message(message):
        return pairs
    return [
        ("payload", message),
        *((name, value) for name, value in pairs if type(name) is not str or name not in message),
    ]


def checked(value: Any) -> dict[str, Any] | None:
    """The payload in plain JSON types; None when it is empty, no JSON object, or too large."""
    try:
        return _plain(json.dumps(value, ensure_ascii=False, allow_nan=False), value) or None
    except (TypeError, ValueError, RecursionError):
        return None


def read(value: Any) -> dict[str, Any]:
    """As `checked`, for JSON text, objects with `to_dict` such as those of discord.py, and values of other types, which become text.

    Raises ValueError, TooLarge.
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, (str, bytes, bytearray)):
        value = json.loads(value)
    return _plain(json.dumps(dict(value), ensure_ascii=False, default=_plainer), value)


def _plainer(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else str(value)


def _plain(text: str, value: Any) -> dict[str, Any]:
    text = well_formed(text)
    if len(text) > MOST_BYTES or len(text.encode()) > MOST_BYTES:
        raise TooLarge(value)
    found: dict[str, Any] = json.loads(text, parse_int=_whole, parse_constant=str)
    return found


def _whole(digits: str) -> int | str:
    """Numbers that MessagePack cannot carry stay text; Discord takes ids in both forms."""
    number = int(digits) if len(digits) < 20 else LARGEST_WHOLE + 1
    return number if -LARGEST_WHOLE <= number <= LARGEST_WHOLE else digits


def text_of(payload: dict[str, Any]) -> tuple[str, str]:
    """Title and body for destinations that show text, within the limits of a signal."""
    if payload.get("deleted") is True:
        return DELETED, ""
    lines = [line for part in _texts(payload) if part.strip() for line in part.strip().split("\n")]
    title = next((line.strip() for line in lines if line.strip()), NO_TEXT)
    rest = "\n".join(lines).strip()
    if len(title) > TITLE:
        return title[: TITLE - 1] + _MARK, _cut(rest)
    return title, _cut(rest[len(title) :].strip("\n")) if rest.startswith(title) else _cut(rest)


def link_of(payload: dict[str, Any]) -> str | None:
    """The address of its first embed that has one."""
    found = (embed.get("url") for embed in _objects(payload.get("embeds")))
    return next((url for url in found if isinstance(url, str) and 0 < len(url) <= LINK), None)


def _cut(text: str) -> str:
    return text if len(text) <= BODY else text[: BODY - 1] + _MARK


def _texts(payload: dict[str, Any]) -> Iterator[str]:
    yield _text(payload.get("content"))
    for embed in _objects(payload.get("embeds")):
        yield _text(_object(embed.get("author")).get("name"))
        yield _text(embed.get("title"))
        yield _text(embed.get("description"))
        for field in _objects(embed.get("fields")):
            yield f"{_text(field.get('name'))}: {_text(field.get('value'))}"
        yield _text(_object(embed.get("footer")).get("text"))
    yield from _component_texts(payload.get("components"), 0)
    yield from _poll_texts(_object(payload.get("poll")))
    for file in _objects(payload.get("attachments")):
        yield f"file: {_text(file.get('filename'))}"


def _component_texts(components: Any, depth: int) -> Iterator[str]:
    for each in _objects(components) if depth < _DEEPEST else ():
        yield _text(each.get("content"))
        yield " ".join(filter(None, (_text(each.get("label")), _text(each.get("url")))))
        yield from _component_texts(each.get("components"), depth + 1)


def _poll_texts(poll: dict[str, Any]) -> Iterator[str]:
    yield _text(_object(poll.get("question")).get("text"))
    for answer in _objects(poll.get("answers")):
        yield _text(_object(answer.get("poll_media")).get("text"))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
