"""Priorities and tiers, as old code names them; `tocsin.values` reads any other way of saying them."""

from __future__ import annotations

from enum import StrEnum


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
