"""Reads foreign mappings: configurations and signals of strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pairs_of(value: Any) -> list[tuple[Any, Any]] | None:
    """The items of a mapping; None where the value is not a mapping, or cannot be read. Never raises."""
    try:
        return list(value.items()) if isinstance(value, Mapping) else None
    except Exception:  # noqa: BLE001 - a foreign mapping, or `__class__`, may raise anything
        return None
