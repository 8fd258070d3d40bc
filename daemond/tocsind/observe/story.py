"""The story of one signal, as `tocsin why` and the page show it: what the journal knows, and why the rest still waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tocsind.clock import Clock, steady_to_wall
from tocsind.delivery.supervisor import Supervisor
from tocsind.journal import Journal, queries
from tocsind.policy.delivery import Priority
from tocsind.policy.quiet import ENDLESS

from .destination_view import wait_reason


class Stories:
    """Reads stories. Its times are those of the wall clock as it is set now."""

    def __init__(
        self, journal: Journal, lanes: Supervisor, clock: Clock, tell: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """`tell` adds the view of a delivery that several hosts share."""
        self._tell = tell
        self._journal = journal
        self._lanes = lanes
        self._clock = clock

    async def read(self, id_: str) -> dict[str, Any] | None:
        """The story of the signal `id_`; None when the journal does not have it. Raises what the journal raises."""
        story = await self._journal.run(queries.why, id_)
        for delivery in story["deliveries"] if story else ():
            if delivery["state"] == "queued":
                delivery["reason"] = self.wait_reason(delivery)
            self._to_wall_time(delivery)
        return story

    def _to_wall_time(self, delivery: dict[str, Any]) -> None:
        delivery["since"] = steady_to_wall(self._clock, delivery["since"])
        if told := delivery.get("shared"):
            told["since"] = steady_to_wall(self._clock, told["since"])
        if self._tell:
            self._tell(delivery)
        quiet, delay = delivery.pop("quiet_until", None), delivery.pop("delayed_until", None)
        if quiet is not None or delay is not None:
            until = quiet if delay is None else steady_to_wall(self._clock, delay)
            delivery["held_until"] = None if delivery["reason"] == ENDLESS else until
        if delivery.get("repeat_at") is not None:
            delivery["repeat_at"] = steady_to_wall(self._clock, delivery["repeat_at"])
        for attempt in delivery["attempts"]:
            for instant in ("started", "ended"):
                if attempt[instant] is not None:
                    attempt[instant] = steady_to_wall(self._clock, attempt[instant])

    def wait_reason(self, delivery: dict[str, Any]) -> str | None:
        """Why a delivery waits, and when a fallback takes it. The journal knows its attempts, its lane everything else."""
        lane, known = self._lanes.get(delivery["destination"]), delivery["reason"]
        return wait_reason(lane.snapshot(), Priority[delivery["priority"].upper()], known) if lane else known
