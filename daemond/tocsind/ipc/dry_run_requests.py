"""Answers `tocsin test`: what would become of a signal. Stores and sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.frames import signal_in
from tocsind.clock import Clock
from tocsind.core.accept import Acceptor
from tocsind.delivery.lane_view import LaneView
from tocsind.delivery.supervisor import Supervisor
from tocsind.ipc.protocol import Test
from tocsind.journal import Count, Journal, live_messages, queries
from tocsind.observe.dry_run import dry_run, route_view
from tocsind.policy.delivery import Delivery
from tocsind.policy.quiet import Hold

from .connection import Refusal


class DryRunRequests:
    """The replies, without `ok`."""

    def __init__(self, journal: Journal, acceptor: Acceptor, lanes: Supervisor, clock: Clock) -> None:
        self._journal = journal
        self._acceptor = acceptor
        self._lanes = lanes
        self._clock = clock

    async def on_test(self, request: Test) -> dict[str, Any]:
        """The routes, the destinations, the rendered messages and the send times of this signal. Raises Refusal."""
        try:
            signal = signal_in(request.signal)
            self._acceptor.check(signal)
        except InvalidSignal as error:
            raise Refusal("invalid-signal", str(error), field=error.field) from None
        priority, deliveries = self._acceptor.preview(signal)
        counts, holds = await self._journal.run(queries.counts), self._acceptor.holds(signal)
        shown = [await self._with_stand_in(each, counts, holds.get(each.destination)) for each in deliveries]
        silence = self._acceptor.silence_of(signal, priority)
        found = {
            "schema": 1,
            "signal": signal.as_dict(),
            "priority": priority.label,
            "routes": [route_view(number, route) for number, route in self._acceptor.routes(signal, priority)],
            "destinations": [each for each in shown if each is not None],
        }
        return {"test": {**found, "silenced": silence and silence.settlement()}}

    async def _with_stand_in(
        self, delivery: Delivery, counts: Sequence[Count], hold: Hold | None
    ) -> dict[str, Any] | None:
        """The dry run at a destination; `instead` is that of the first fallback that works, where the destination is disabled."""
        shown = await self._dry_run(delivery, counts, hold)
        if shown is None or shown["condition"] != "disabled":
            return shown
        for name in shown["fallback"]:
            lane = self._lanes.get(name)
            if lane is not None and lane.snapshot().disabled is None:
                moved = msgspec.structs.replace(delivery, destination=name)
                return {**shown, "instead": await self._dry_run(moved, counts, None)}
        return {**shown, "instead": None}

    async def _dry_run(self, delivery: Delivery, counts: Sequence[Count], hold: Hold | None) -> dict[str, Any] | None:
        """What its destination would do with a previewed delivery; None without a lane."""
        lane = self._lanes.get(delivery.destination)
        if lane is None:
            return None
        view = lane.snapshot()
        updated = await self._with_update(delivery, view)
        return dry_run(view, updated, counts, lane.preview(updated), self._held(hold))

    def _held(self, hold: Hold | None) -> tuple[str, float] | None:
        """The reason of a hold, and how many seconds it lasts."""
        now = self._clock.wall() if hold and hold.is_quiet else self._clock.steady()
        return (hold.reason, round(max(0.0, hold.until - now), 3)) if hold else None

    async def _with_update(self, delivery: Delivery, view: LaneView) -> Delivery:
        """A delivery of the dry run, with its update of a live message if the destination can edit messages."""
        if view.edits_at is None:
            return delivery
        return await self._journal.run(live_messages.preview, delivery, view.edits_at, view.editing)
