"""What a run of tocsin is given, and what it leaves behind: the configuration, and a journal that survives its end."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tocsind.policy.bucket import Rate
from tocsind.policy.rate_limits import SavedLimit

from .signals import Signal

REMEMBERED = 30  # requests of a channel


class Rules(NamedTuple):
    """What the configuration says."""

    ours: Rate | None = None
    webhook: Rate = Rate(5, 2.0)
    channel: Rate = Rate(30, 60.0)
    address: Rate = Rate(45, 1.1)


class Request(NamedTuple):
    """As the journal knows it."""

    webhook: int
    expedited: bool
    answered: float | None = None  # None: in flight


class Journal:
    """What survives a kill."""

    def __init__(self) -> None:
        self.open: dict[int, Signal] = {}
        self.requests: deque[Request] = deque(maxlen=REMEMBERED)
        self.memories: dict[str, SavedLimit] = {}

    def reopen(self, now: float) -> None:
        """What was in flight at the end of the last run may have been counted until now."""
        for place, request in enumerate(self.requests):
            if request.answered is None:
                self.requests[place] = request._replace(answered=now)
