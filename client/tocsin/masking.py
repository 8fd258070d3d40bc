"""Hides webhook URLs in foreign values: metadata of a trade often contains a whole configuration."""

from __future__ import annotations

import re
from typing import Any

from .values import Absent, field, is_missing

_CONTAINERS = (list, tuple, dict, set, frozenset)


def masked(found: str) -> str:
    """`found` without webhook URLs."""
    return re.sub(r"\S*webhooks/[0-9]+/\S*", "****", found) if "webhooks/" in found else found


def masked_field(value: Any) -> Any:
    """As `field`, and masked. Never raises.

    Missing values, and containers that hold no webhook, are unchanged, so that the signal notes them.
    """
    try:
        found = None if is_missing(value) else field(value)
    except Absent:
        return value
    if not isinstance(found, str):
        return value if found is None else found
    safe = masked(found)
    return value if safe == found and issubclass(type(value), _CONTAINERS) else safe
