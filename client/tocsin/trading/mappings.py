"""Foreign mappings, as the configuration of strategies and what they raise come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def pairs_of(value: Any) -> list[tuple[Any, Any]] | None:
    """What a mapping holds; None where it is none, or cannot be read. Never raises."""
    try:
        return list(value.items()) if isinstance(value, Mapping) else None
    except Exception:  # noqa: BLE001 - a foreign mapping, or `__class__`, may raise anything
        return None
