"""What one digest contains at the end of quiet hours.

    keyless signals                            what is alike is one line: how many, from when to when, the last title
    a story (one key) that is still open       one line, with its last state
    a story that began and ended in the quiet  it cancels out: it is only counted
    a story that was sent before, and ended     one line
    a signal whose time passed (`expires`)     counted and named apart; it is never sent as live

Nothing is left out of the counting. Deliveries are added one by one, in any order, so that memory holds one entry a line and not a
delivery each.
"""

from __future__ import annotations

import msgspec

from .delivery import Delivery, Priority
from .story import ends_story

MAX_EXPIRED = 5  # titles of expired signals that are named; the others are counted


class Group(msgspec.Struct):
    """Signals that share a line. Times are wall-clock seconds of acceptance."""

    key: str | None  # of a story
    label: str
    priority: Priority  # the highest of them
    first: float
    last: float
    order: int  # of the newest
    title: str  # of the newest
    has_ended: bool  # the newest ends the story
    was_known: bool  # a state of the story was sent before
    count: int = 0
    low: float | None = None
    high: float | None = None
    doubts: int = 0
    files: int = 0


class QuietDigest:
    """Collects what was held at one destination."""

    def __init__(self) -> None:
        self._groups: dict[tuple[bool, str], Group] = {}
        self.signals = 0  # all that were held
        self.expired = 0
        self.expired_titles: list[str] = []

    def add(self, delivery: Delivery, *, has_expired: bool = False, was_known: bool = False) -> None:
        """Add a delivery. `was_known`: an earlier state of the story that it ends was sent."""
        self.signals += 1
        if has_expired:
            self.expired += 1
            if len(self.expired_titles) < MAX_EXPIRED:
                self.expired_titles.append(delivery.signal.title)
        else:
            _extend(self._group(delivery), delivery, was_known=was_known)

    def lines(self) -> list[Group]:
        """What needs a line, the worst first: the most urgent, then the most frequent, then in the order of acceptance. What has ended
        comes last.
        """
        shown = [each for each in self._groups.values() if not _is_cancelled(each)]
        return sorted(shown, key=lambda group: (group.has_ended, group.priority, -group.count, group.first))

    def cancelled(self) -> list[Group]:
        """The stories that began and ended in the quiet."""
        return [each for each in self._groups.values() if _is_cancelled(each)]

    def priority(self) -> Priority:
        """That of the digest: the highest of what it contains; LOW if nothing fires any more."""
        return min((each.priority for each in self.lines() if not each.has_ended), default=Priority.LOW)

    def span(self) -> tuple[float, float] | None:
        """When the first and the last signal came that did not expire; None without any."""
        groups = self._groups.values()
        return (min(each.first for each in groups), max(each.last for each in groups)) if groups else None

    def _group(self, delivery: Delivery) -> Group:
        signal, at = delivery.signal, delivery.accepted
        label = signal.key or " ".join(filter(None, (signal.strategy, signal.symbol, signal.action))) or signal.title
        new = Group(signal.key or None, label, delivery.priority, at, at, -1, "", has_ended=False, was_known=False)
        return self._groups.setdefault((bool(signal.key), label), new)


def _is_cancelled(group: Group) -> bool:
    return group.has_ended and not group.was_known


def _extend(group: Group, delivery: Delivery, *, was_known: bool) -> None:
    signal = delivery.signal
    group.count += 1
    group.priority = min(group.priority, delivery.priority)
    group.first, group.last = min(group.first, delivery.accepted), max(group.last, delivery.accepted)
    group.doubts += delivery.maybe_duplicate
    group.files += signal.has_file
    group.was_known = group.was_known or was_known
    if signal.price is not None:
        group.low = signal.price if group.low is None else min(group.low, signal.price)
        group.high = signal.price if group.high is None else max(group.high, signal.price)
    if delivery.order > group.order:
        group.order, group.title, group.has_ended = delivery.order, signal.title, ends_story(signal)
