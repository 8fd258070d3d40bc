"""Other senders, implemented without mistakes.

HeadersOnly   one signal a request, one request in flight a webhook; obeys the headers and every retry_after; ignores the channel's limit
OneEach       each program posts its signal at once; after a 429 it waits retry_after and tries again
"""

from __future__ import annotations

from collections import deque

from .server import Answer
from .signals import Signal
from .wire import Wire
from .world import World


class HeadersOnly:
    """A queue a webhook, in order of acceptance."""

    def __init__(self, world: World, wire: Wire) -> None:
        self._world, self._wire = world, wire
        self._waiting: dict[int, deque[Signal]] = {}
        self._busy: set[int] = set()

    def hand(self, signal: Signal) -> None:
        self._waiting.setdefault(signal.webhook, deque()).append(signal)
        if signal.webhook not in self._busy:
            self._next(signal.webhook)

    def _next(self, webhook: int) -> None:
        queue = self._waiting[webhook]
        if not queue:
            self._busy.discard(webhook)
            return
        self._busy.add(webhook)
        self._wire.post(webhook, [queue[0]], lambda answer: self._answered(webhook, answer))

    def _answered(self, webhook: int, answer: Answer) -> None:
        wait = answer.wait
        if answer.passed:
            self._waiting[webhook].popleft()
        if answer.told is not None and answer.told.remaining <= 0:
            wait = max(wait, answer.told.reset_after)
        self._world.after(wait, lambda: self._next(webhook))


class OneEach:
    """No queue at all."""

    def __init__(self, world: World, wire: Wire) -> None:
        self._world, self._wire = world, wire

    def hand(self, signal: Signal) -> None:
        def answered(answer: Answer) -> None:
            if not answer.passed:
                self._world.after(answer.wait, lambda: self.hand(signal))

        self._wire.post(signal.webhook, [signal], answered)
