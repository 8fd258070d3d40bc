"""Deliveries for the tests of policy."""

from __future__ import annotations

from typing import Any

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority

NOW = 1_767_225_600.0  # wall time: 2026-01-01T00:00:00Z


def delivery(priority: Priority = Priority.NORMAL, **known: Any) -> Delivery:
    """A delivery in its first attempt, unless `known` says otherwise."""
    fields = {"accepted": NOW - 60, "attempts": 1, "first_try": NOW, **known}
    return Delivery(number=1, signal=Signal("BUY BTCUSDT"), destination="d", priority=priority, **fields)
