"""Foreign values in words that a signal takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from math import isfinite, isnan
from typing import Any

_LONGEST = 200  # characters of what is no scalar: the repr of a thousand bars helps nobody
_WEBHOOK = re.compile(r"\S*webhooks/[0-9]+/\S*")


def word(value: Any) -> Any:
    """An enum's member as the word that it stands for: its value, or its name when that is no text. Anything else as it is."""
    if not isinstance(value, Enum):
        return value
    return value.value if isinstance(value.value, str) else value.name


def level(value: Any) -> Any:
    """A price level, or None where there is none: libraries of tables say NaN for that."""
    if issubclass(type(value), float) and isnan(value):
        return None
    return told(value)


def told(value: Any) -> str | float | bool | None:
    """A field's value: scalars as they are, the rest as text, and what cannot even speak by its type. Never raises."""
    try:
        return value if value is None or isinstance(value, (bool, int)) else _told(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ or __float__ may raise anything, and so may isinstance
        return type(value).__name__


def _told(value: Any) -> str | float:
    if isinstance(value, str):
        return _masked(str(word(value)))
    if hasattr(value, "__float__"):
        try:
            number = float(value)
        except Exception:  # noqa: BLE001 - an array has the method as well
            return _masked(str(value))[:_LONGEST]
        return number if isfinite(number) else str(number)
    return _masked(str(word(value)))[:_LONGEST]


def _masked(text: str) -> str:
    """What goes along is often somebody's whole configuration."""
    return _WEBHOOK.sub("****", text) if "webhooks/" in text else text


def name_of(value: Any) -> str:
    """What a strategy is called, as text that can be sent. Never raises."""
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return type(value).__name__


def pairs_of(value: Any) -> list[tuple[Any, Any]] | None:
    """What a mapping holds; None where it is none, or cannot be read. Never raises."""
    try:
        return list(value.items()) if isinstance(value, Mapping) else None
    except Exception:  # noqa: BLE001 - a foreign mapping, or `__class__`, may raise anything
        return None
