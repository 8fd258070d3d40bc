"""Signals in the JSON that many libraries write and the standard does not allow: NaN, Infinity, 1e400, half a surrogate pair.

The alert matters more than such a number. Only requests that carry signals are read this way; no other request has such values.
"""

from __future__ import annotations

import json
from typing import Any

from tocsin.signals import well_formed

_OPERATIONS = frozenset({"send", "send_many", "test"})
_MOST_DIGITS = 4000  # of a whole number: Python reads 4,300


def lenient_json(body: bytes, error: Exception) -> dict[str, Any]:
    """The request in a frame that the strict decoder rejected with `error`. Raises `error` when the frame carries no signal."""
    try:
        found: dict[str, Any] = _well_formed(json.loads(body, parse_int=_whole))
    except (ValueError, RecursionError):
        raise error from None
    if type(found) is not dict or found.get("op") not in _OPERATIONS:
        raise error
    return found


def _well_formed(value: Any) -> Any:
    """The same without lone surrogates, which cannot be encoded."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_well_formed(each) for each in value]
    return {well_formed(name): _well_formed(each) for name, each in value.items()} if isinstance(value, dict) else value


def _whole(digits: str) -> int | str:
    """A whole number; one that is too long for Python's int() stays text."""
    return int(digits) if len(digits) <= _MOST_DIGITS else digits
