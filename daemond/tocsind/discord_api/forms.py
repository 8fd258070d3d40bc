"""Reading a JSON body as Discord's form validator does: every fault has a place in a tree.

The tree is what a 50035 carries: {"embeds": {"0": {"description": {"_errors": [{"code", "message"}]}}}}. List
positions are decimal strings, as in the real thing. A reader notes the fault and goes on, so that one answer
names all of them. Lengths are code points after trimming.

Source: error bodies in other libraries' issue trackers; the codes are exact where a client acts on them
(lengths, required, sums, usernames), the wording of type errors is near enough for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

_LONGEST_LINK: Final = 2048
_SCHEMES: Final = ("http", "https", "attachment")


class Faults:
    """The growing tree of errors, seen from one place in it."""

    def __init__(self, tree: Json | None = None, path: tuple[str, ...] = ()) -> None:
        self.tree: Json = {} if tree is None else tree
        self._path = path

    def at(self, *path: str | int) -> Faults:
        """The same tree from further down."""
        return Faults(self.tree, self._path + tuple(map(str, path)))

    def add(self, code: str, message: str) -> None:
        node = self.tree
        for step in self._path:
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})


def text(holder: Json, key: str, most: int, faults: Faults, *, required: bool = False) -> str | None:
    """A trimmed string of at most `most` code points, or None where there is none or it is empty."""
    raw = holder.get(key)
    if raw is not None and not isinstance(raw, str | int | float):
        faults.at(key).add("STRING_TYPE_CONVERT", f'Could not interpret "{brief(raw)}" as string.')
        return None
    trimmed = "" if raw is None else str(raw).strip()
    if len(trimmed) > most:
        faults.at(key).add("BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    if required and not trimmed:
        faults.at(key).add("BASE_TYPE_REQUIRED", "This field is required")
    return trimmed or None


def link(holder: Json, key: str, faults: Faults) -> str | None:
    """An http, https or attachment URL."""
    url = text(holder, key, _LONGEST_LINK, faults)
    if url is None:
        return None
    scheme, separator, rest = url.partition("://")
    if not separator or not rest:
        faults.at(key).add("URL_TYPE_INVALID_URL", "Not a well formed URL.")
    elif scheme.lower() not in _SCHEMES:
        faults.at(key).add(
            "URL_TYPE_INVALID_SCHEME", f"Scheme \"{scheme}\" is not supported. Scheme must be one of ('http', 'https')."
        )
    return url


def objects(holder: Json, key: str, most: int, faults: Faults) -> Iterator[tuple[Json, Faults]]:
    """The objects of a list, each with the place its faults belong to."""
    items = holder.get(key)
    if items is None:
        return
    if not isinstance(items, list):
        faults.at(key).add("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return
    if len(items) > most:
        faults.at(key).add("BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    for place, item in enumerate(items):
        if isinstance(item, dict):
            yield item, faults.at(key, place)
        else:
            faults.at(key, place).add("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a DictType")


def mapping(holder: Json, key: str, faults: Faults) -> Json | None:
    """An object, or None where there is none."""
    value = holder.get(key)
    if value is None or isinstance(value, dict):
        return value
    faults.at(key).add("MODEL_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    return None


def whole(holder: Json, key: str, faults: Faults) -> int | None:
    """A whole number, or None where there is none."""
    value = holder.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    faults.at(key).add("NUMBER_TYPE_COERCE", f'Value "{brief(value)}" is not int.')
    return None


def names(holder: Json, key: str, faults: Faults) -> list[str] | None:
    """A list of strings or ids, or None where there is none."""
    items = holder.get(key)
    if items is None:
        return None
    if not isinstance(items, list):
        faults.at(key).add("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return None
    return [brief(item) for item in items]


def brief(value: Any) -> str:
    """A value as an error names it. What a client made huge or deep is not repeated to it."""
    if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**64):
        return str(value)[:100]
    return type(value).__name__
