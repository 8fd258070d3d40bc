"""Shapes of replies. Scripts and monitors read them, so tests compare them exactly."""

from __future__ import annotations

from typing import Any

NUMBER = (int, float)
PRIORITIES = {"urgent": int, "high": int, "normal": int, "low": int}
LANE_VIEW: dict[str, Any] = {  # of a destination, in every reply that names one
    "name": str,
    "kind": str,
    "condition": str,
    "reason": (str, type(None)),
    "until_seconds": (*NUMBER, type(None)),
    "failing_seconds": (*NUMBER, type(None)),
}
WINDOW = {"name": str, "count": int, "per": NUMBER, "left": int, "kept": int}
LIMITS = {
    "channel": str,
    "windows": [WINDOW],
    "ready_seconds": dict.fromkeys(PRIORITIES, (*NUMBER, type(None))),
    "waits_for": dict.fromkeys(PRIORITIES, (str, type(None))),
}


def must_be(shape: Any, found: Any, path: str = "$") -> None:
    """`found` has exactly the keys of `shape`, and its types; a list of one shape holds any number of those."""
    if isinstance(shape, dict):
        assert set(found) == set(shape), path
        for key, below in shape.items():
            must_be(below, found[key], f"{path}.{key}")
    elif isinstance(shape, list):
        assert isinstance(found, list), path
        for place, each in enumerate(found):
            must_be(shape[0], each, f"{path}[{place}]")
    else:
        assert isinstance(found, shape), f"{path} is {found!r}"
        assert shape is not int or not isinstance(found, bool), f"{path} is {found!r}"
