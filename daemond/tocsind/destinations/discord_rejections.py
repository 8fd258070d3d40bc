"""The parts of a message that Discord names in a refusal.

The names come as a tree, {"embeds": {"3": {"title": {"_errors": [{"code", "message"}]}}}}; webhooks also answer in an older format,
{"embeds": ["3"]}, without a code. Depth and width of the tree are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from .discord_response import DiscordResponse
from .rejections import Rejection
from .response import bounded_reason

WHOLE_REQUEST: Final = frozenset(
    {"username", "content", "allowed_mentions", "flags"}
)  # parts that belong to no single delivery
_PARTS: Final = WHOLE_REQUEST | {
    "embeds",
    "attachments",
    "files",
    "payload_json",
    "thread_name",
    "avatar_url",
    "tts",
    "_misc",
}
_DEEPEST: Final = 12  # steps of a path
_MOST: Final = 200  # rejections; ten embeds with 25 bad fields have more, too many to read


def named_in(response: DiscordResponse) -> Rejection:
    """Rejected: the named deliveries, or a part of the whole request."""
    found = list(islice(_rejections(_tree(response.body)), _MOST))
    words = _message_of(found) or response.said
    places = sorted({place for path, _ in found if (place := _embed(path)) is not None})
    items = {place: _message_of(found, place) for place in places}
    return Rejection(
        f"{response.status} from Discord{words}", items, WHOLE_REQUEST & {path[0] for path, _ in found if path}
    )


def has_names(response: DiscordResponse) -> bool:
    """Whether the body has the older format: a list of texts for each part of a message, and no code."""
    lists = [part for part, value in response.body.items() if isinstance(value, list)]
    return "code" not in response.body and not _PARTS.isdisjoint(lists)


_Path = tuple[str, ...]


def _tree(body: Mapping[str, Any]) -> object:
    return body.get("errors") if "code" in body else body


def _embed(path: _Path) -> int | None:
    """The index of the embed that a path leads into."""
    if len(path) > 1 and path[0] == "embeds" and path[1].isdecimal() and len(path[1]) < 4:
        return int(path[1])
    return None


def _message_of(found: Sequence[tuple[_Path, str]], place: int | None = None) -> str:
    """Discord's text for each path, or for the paths below one embed, after a colon; empty when there is none."""
    mine = found if place is None else [(path[2:], words) for path, words in found if _embed(path) == place]
    faults = (": ".join(part for part in (".".join(path), words) if part) for path, words in mine)
    line = bounded_reason("; ".join(filter(None, faults)), 300)
    return f": {line}" if line else ""


def _rejections(tree: object, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    if isinstance(tree, list):
        yield from _listed(tree, path)
    elif isinstance(tree, dict) and len(path) < _DEEPEST:
        for step, below in tree.items():
            yield from _rejections(below, path if step == "_errors" else (*path, step))


def _listed(items: Sequence[object], path: _Path) -> Iterator[tuple[_Path, str]]:
    for item in items:
        if isinstance(item, dict):
            yield path, str(item.get("message", ""))
        elif isinstance(item, str):  # the older format: the index of an embed, or text
            yield ((*path, item), "") if item.isdecimal() else (path, item)
