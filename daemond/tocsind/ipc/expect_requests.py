"""Answers requests about expectations. A user changes his own; what alerts.toml expects may beat under every uid."""

from __future__ import annotations

from typing import Any

from tocsind.clock import Clock
from tocsind.core.admission import Peer
from tocsind.expectations import Beat, Expectations, ExpectRefused
from tocsind.ipc import protocol

from .connection import Refusal


class ExpectRequests:
    """The replies, without `ok`. They raise Refusal and StorageFull."""

    def __init__(self, expectations: Expectations, clock: Clock) -> None:
        self._expectations = expectations
        self._clock = clock

    async def on_expect(self, request: protocol.Expect, peer: Peer) -> dict[str, Any]:
        """A beat."""
        beat = Beat(
            request.name,
            request.every,
            request.grace,
            request.priority,
            None if request.to is None else tuple(request.to),
            request.message,
            request.watch,
        )
        try:
            entry = await self._expectations.beat(beat, peer)
        except ExpectRefused as refused:
            raise Refusal(refused.kind, str(refused)) from None
        return {"expectation": entry.view(self._clock)}

    async def on_goodbye(self, request: protocol.Goodbye, peer: Peer) -> dict[str, Any]:
        """The end of a process, or of an expectation."""
        try:
            await self._expectations.goodbye(request.name, peer, forget=request.forget)
        except ExpectRefused as refused:
            raise Refusal(refused.kind, str(refused)) from None
        return {"name": request.name}

    async def on_expected(self, _: protocol.Expected) -> dict[str, Any]:
        """All expectations."""
        return {"expected": self._expectations.views()}
