"""The two neighbours of a lane, in memory: a destination with scripted answers, and the store of deliveries.

Both are honest: they decide nothing that the real ones leave to others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import Any

import msgspec
import trio

from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Delivered, Outcome, Report

from .store import MemoryStore

__all__ = ["Answer", "MemoryDestination", "MemoryStore", "Try"]

Answer = (
    Outcome | tuple[Outcome, ...] | Report
)  # one outcome for all in the message, one for each, or all that came back


class Try(msgspec.Struct, frozen=True):
    """One call of `deliver`: when (monotonic seconds) and with what."""

    at: float
    batch: tuple[Delivery, ...]


class MemoryDestination:
    """Answers from `script`, one line a call, and `otherwise` when it is used up. A call takes `seconds`, and waits for the `hold`.

    With `edits` (or another `editing`) the deliveries of one key share a live message, if the store says so.

    Asked where it leads, it answers from `places`, then `place`, then `channel`. `size` and `key` say what a delivery takes of the `room`,
    and with whom it may travel.
    """

    def __init__(
        self,
        script: Iterable[Answer] = (),
        *,
        otherwise: Answer | None = None,
        most: int = 1,
        seconds: float = 0.0,
        room: float = inf,
        size: Callable[[Delivery], int] = lambda _: 0,
        key: Callable[[Delivery], Hashable] = lambda _: None,
        places: Iterable[ChannelInfo] = (),
        channel: str | None = None,
        edits: bool = False,
        editing: Editing | None = None,
        repeatable: bool = False,
    ) -> None:
        self.script = deque(script)
        self.otherwise: Answer = Delivered() if otherwise is None else otherwise
        self.seconds = seconds
        self.query_seconds = 0.0  # how long a query takes
        self.places = deque(places)
        self.place: ChannelInfo | None = None
        self.channel = channel
        self.tries: list[Try] = []
        self.located: list[float] = []  # when it was asked where it leads
        self.in_flight = 0
        self.most_in_flight = 0
        self.cut_off = 0
        self.closed = False
        self.editing = editing or (Editing.SILENT if edits else Editing.NONE)
        self.repeatable = repeatable
        self._most = most
        self._room = room
        self._size = size
        self._key = key
        self._held: trio.Event | None = None

    @property
    def max_items(self) -> int:
        return self._most

    @property
    def max_chars(self) -> float:
        return self._room

    @property
    def max_bytes(self) -> float:
        return inf

    @property
    def titles(self) -> list[str]:
        """What it was given, in order."""
        return [delivery.signal.title for each in self.tries for delivery in each.batch]

    @property
    def times(self) -> list[float]:
        """When it was called, counted from the first call."""
        return [each.at - self.tries[0].at for each in self.tries]

    def hold(self) -> None:
        """Take calls and answer none, until `release`."""
        self._held = trio.Event()

    def release(self) -> None:
        """Answer again."""
        if self._held is not None:
            self._held.set()
        self._held = None

    def footprint(self, delivery: Delivery) -> Footprint:
        living = delivery.signal.key if self.editing is not Editing.NONE else None
        return Footprint(
            self._size(delivery), living or self._key(delivery), delivery.max_batch, must_be_alone=bool(living)
        )

    async def discover(self) -> ChannelInfo:
        await trio.sleep(self.query_seconds)
        self.located.append(trio.current_time())
        return self.places.popleft() if self.places else self.place or ChannelInfo(self.channel)

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        return {"payload": {"titles": [delivery.signal.title for delivery in batch]}, "limits": [], "notes": []}

    async def check(self) -> ChannelInfo:
        return await self.discover()

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        self.tries.append(Try(trio.current_time(), tuple(batch)))
        answer = self.script.popleft() if self.script else self.otherwise
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await trio.sleep(self.seconds)
            if self._held is not None:
                await self._held.wait()
        except trio.Cancelled:
            self.cut_off += 1
            raise
        finally:
            self.in_flight -= 1
        return _report(answer, len(batch))

    async def aclose(self) -> None:
        self.closed = True


def _report(answer: Answer, count: int) -> Report:
    if isinstance(answer, Report):
        return answer
    return Report(answer if isinstance(answer, tuple) else (answer,) * count)
