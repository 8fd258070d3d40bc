"""Priorities and tiers, as old code names them and as any other way of saying them is understood."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any

from tocsin.signals import PRIORITIES

_SYNONYMS = {"critical": "urgent", "emergency": "urgent", "medium": "normal"}  # what can mean nothing else


class NotificationPriority(StrEnum):
    """How pressing a signal is. Without one it goes by its confidence: over 0.9 urgent, over 0.8 high, as alerts.toml has it."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class UserTier(StrEnum):
    """Whom a signal is for; routes in alerts.toml tell channels by it. Any other word does as well."""

    FREE = "free"
    PREMIUM = "premium"


def attribute(given: Any, name: str) -> Any:
    """What a foreign object has under this name, if it has; a property, or what stands in for one, may raise anything."""
    try:
        return getattr(given, name, None)
    except Exception:  # noqa: BLE001 - as above
        return None


def word_of(value: Any) -> str | None:
    """The text in `value`: itself, what an enum's member stands for (or its name, where that is no text), or a value object's `value`."""
    if type(value) is str:
        return value.strip() or None
    if isinstance(value, Enum):
        value = value.value if isinstance(value.value, str) else value.name
    elif not isinstance(value, str):
        value = attribute(value, "value")
    return (str.__str__(value).strip() or None) if isinstance(value, str) else None


def priority_of(value: Any) -> str | None:
    """One of PRIORITIES, of whatever says so: a text, or a member of anybody's enum by its value or its name."""
    for word in (word_of(value), attribute(value, "name")):
        said = word.lower() if isinstance(word, str) else ""
        said = _SYNONYMS.get(said, said)
        if said in PRIORITIES:
            return said
    return None
