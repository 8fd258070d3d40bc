"""The silences in force, as the page shows them."""

from __future__ import annotations

from typing import Any

from tocsind.clock import Clock
from tocsind.core.silences import Silences


async def silence_list(silences: Silences, clock: Clock) -> list[dict[str, Any]]:
    """Each silence: what it matches, for how long it lasts, and how many signals it silenced. Raises what the journal raises."""
    now = clock.steady()
    return [
        {
            "name": each.written,
            "id": each.id,
            "left_seconds": round(max(0.0, each.until - now), 3),
            "signals": each.signals,
            "reason": each.reason,
            "uid": each.uid,
        }
        for each in await silences.list_active()
    ]
