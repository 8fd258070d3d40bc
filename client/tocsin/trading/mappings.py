"""Reads foreign mappings: configurations and signals of strategies."""

from __future__ import annotations

from typing import Any

from tocsin.values import is_mapping


def pairs_of(value: Any) -> list[tuple[Any, Any]] | None:
    """The items of a mapping; None where the value is not a mapping, or cannot be read. Never raises."""
    try:
        return list(value.items()) if is_mapping(value) else None
    except Exception:  # noqa: BLE001 - a foreign mapping may raise anything
        return None
