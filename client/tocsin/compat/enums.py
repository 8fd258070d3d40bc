"""Priorities and tiers under the old names; `tocsin.values` reads other spellings."""

from __future__ import annotations

from enum import StrEnum


class NotificationPriority(StrEnum):
    """The priority of a signal. The default depends on its confidence, by alerts.toml: above 0.9 urgent, above 0.8 high."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class UserTier(StrEnum):
    """The audience of a signal, which routes in alerts.toml use. Any other word is allowed, too."""

    FREE = "free"
    PREMIUM = "premium"
