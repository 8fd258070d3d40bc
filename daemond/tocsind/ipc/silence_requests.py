"""Answers requests about silences. Every user of the socket may begin one and may end one: a silence that ends early hides less, and the
journal and the report of its end have the uid of both.
"""

from __future__ import annotations

from typing import Any

from tocsind.clock import Clock, steady_to_wall
from tocsind.core.admission import Peer
from tocsind.core.silences import SilenceRefused, Silences
from tocsind.ipc import protocol
from tocsind.policy.delivery import Priority
from tocsind.policy.silence import Silence

from .connection import Refusal


class SilenceRequests:
    """The replies, without `ok`. The changes raise Refusal and StorageFull."""

    def __init__(self, silences: Silences, clock: Clock) -> None:
        self._silences = silences
        self._clock = clock

    async def on_silence(self, request: protocol.Silence, peer: Peer) -> dict[str, Any]:
        """Begin a silence."""
        try:
            added = await self._silences.add(request.when, request.seconds, request.reason, peer)
        except SilenceRefused as refused:
            raise Refusal(refused.kind, str(refused)) from None
        return {"silence": self._view(added)}

    async def on_unsilence(self, request: protocol.Unsilence, peer: Peer) -> dict[str, Any]:
        """End a silence."""
        try:
            return {"silence": self._view(await self._silences.end(request.id, peer))}
        except SilenceRefused as refused:
            raise Refusal(refused.kind, str(refused)) from None

    async def on_silences(self, _: protocol.Silences) -> dict[str, Any]:
        """The silences in force."""
        return {"silences": [self._view(each) for each in await self._silences.list_active()]}

    def _view(self, silence: Silence) -> dict[str, Any]:
        return {
            "id": silence.id,
            "when": [list(pair) for pair in silence.when],
            "uid": silence.uid,
            "since": steady_to_wall(self._clock, silence.since),
            "until": steady_to_wall(self._clock, silence.until),
            "left_seconds": round(max(0.0, silence.until - self._clock.steady()), 3),
            "reason": silence.reason,
            "signals": silence.signals,
            "highest": None if silence.highest is None else Priority(silence.highest).label,
        }
