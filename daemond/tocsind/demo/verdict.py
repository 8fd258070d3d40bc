"""The verdict: compares the producers' receipts with the messages that the fake has accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import msgspec

from tocsind.rendering.card import SHORT_ID
from tocsind.testing import Message
from tocsind.testing.reader import alerts_in

MARK = "possible duplicate"


class Verdict(msgspec.Struct, frozen=True):
    """Counts of signals; costs in seconds."""

    stored: int
    delivered: int
    lost: int
    marked: int  # second copies marked as possible duplicates
    unmarked: int  # second copies without the mark
    repeats: int
    messages: int  # with these signals
    limited: int  # requests answered with 429
    cost: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was lost, and no copy lacks its mark."""
        return self.stored > 0 and self.lost == 0 and self.unmarked == 0

    def lines(self, trips: int) -> list[str]:
        """The verdict as text."""
        cost, night = f"{self.cost * 1000:.2f} ms", f"{trips} breaker trip{'s' * (trips != 1)} and one kill -9"
        return [
            f"  stored      {self.stored:>5}   receipts held by three producers; a hand-off took {cost} at the median",
            f"  delivered   {self.delivered:>5}   in {self.seconds:.1f} s, through {night}",
            f"  lost        {self.lost:>5}",
            f"  429s        {self.limited:>5}   for {self.messages} messages, under Discord's own limits, twenty times as fast",
            f"  twice       {self.marked + self.unmarked:>5}   in flight when something broke; {self.marked} marked as {MARK!r}",
        ]


def judge(producers: Iterable[dict[str, Any]], messages: Sequence[Message], *, limited: int, seconds: float) -> Verdict:
    """Look every stored signal up by its id in the messages. `limited` is the number of requests answered with 429."""
    stored = {id_ for producer in producers for id_ in producer["ids"]}
    alerts = [alert for message in messages for alert in alerts_in(message.payload)]
    shown = Counter(alert.id for alert in alerts)
    copies = {id_: shown[id_[-SHORT_ID:]] for id_ in stored}  # a message shows the end of an id
    marked = sum(alert.doubt for alert in alerts)
    twice = sum(copies[id_] - 1 for id_ in stored if copies[id_] > 1)
    return Verdict(
        stored=len(stored),
        delivered=sum(copies[id_] > 0 for id_ in stored),
        lost=sum(copies[id_] == 0 for id_ in stored),
        marked=min(marked, twice),
        unmarked=max(0, twice - marked),
        repeats=sum(producer["repeats"] for producer in producers),
        messages=len(messages),
        limited=limited,
        cost=median(cost for producer in producers for cost in producer["costs"]),
        seconds=seconds,
    )
