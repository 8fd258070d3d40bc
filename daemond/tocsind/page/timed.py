"""Silences and expectations, as the page shows them."""

from __future__ import annotations

from typing import Any

from tocsind.clock import Clock
from tocsind.core.silences import Silences
from tocsind.expectations import Expectations

_OF_EXPECTATION = ("name", "state", "cause", "every", "last_seconds", "due_seconds", "message")


async def silence_list(silences: Silences, clock: Clock) -> list[dict[str, Any]]:
    """The silences in force: what each matches, how long it lasts, how many signals it silenced. Raises what the journal raises."""
    now = clock.steady()
    return [
        {
            "id": each.id,
            "name": each.written,
            "left_seconds": round(max(0.0, each.until - now), 3),
            "signals": each.signals,
            "reason": each.reason,
            "uid": each.uid,
        }
        for each in await silences.list_active()
    ]


async def expectation_list(expectations: Expectations) -> list[dict[str, Any]]:
    """The expectations: those that are late first."""
    found = [{name: each[name] for name in _OF_EXPECTATION} for each in expectations.views()]
    return sorted(found, key=lambda each: each["cause"] is None)
