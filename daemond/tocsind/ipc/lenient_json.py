"""Hand-offs in the JSON that many libraries write and the standard does not allow: NaN, Infinity, 1e400, half a surrogate pair.

The alert matters more than such a number. Only hand-offs are read this way; any other request has no place for such a value.
"""

from __future__ import annotations

import json
from typing import Any

from tocsin.signals import well_formed

_OPERATIONS = frozenset({"send", "send_many", "test"})
_MOST_DIGITS = 4000  # of a whole number: Python reads 4,300


def lenient_json(body: bytes, error: Exception) -> dict[str, Any]:
    """The hand-off in a frame that a strict decoder does not read. Raises `error` where there is none."""
    try:
        found: dict[str, Any] = _mended(json.loads(body, parse_int=_whole))
    except (ValueError, RecursionError):
        raise error from None
    if type(found) is not dict or found.get("op") not in _OPERATIONS:
        raise error
    return found


def _mended(value: Any) -> Any:
    """The same without half characters, which nothing behind us can encode."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return {well_formed(name): _mended(each) for name, each in value.items()} if isinstance(value, dict) else value


def _whole(digits: str) -> int | str:
    """A whole number; one that Python refuses to read for its length stays text."""
    return int(digits) if len(digits) <= _MOST_DIGITS else digits
