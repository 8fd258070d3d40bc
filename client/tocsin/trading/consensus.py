"""Consensus: which strategies agree on a symbol at about the same time.

Two signals are of the same time when they are no further apart than the window; signals without a time are all of now. Within a window each
strategy has one vote, however many signals it raised, with the strategy's weight. BUY and SELL contradict each other; HOLD and all other
actions contradict nothing. A strategy that says both within a window is undecided, and its vote does not count for the signals of others. A
strategy never contradicts itself.

    share = weight of the strategies that say the same / weight of those that say the same or the opposite

Each symbol's signals are walked once, in order of time, with a sliding window, so the cost grows linearly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

_SIDES = {
    "BUY": 1, "LONG": 1, "STRONG_BUY": 1,
    "SELL": -1, "SHORT": -1, "STRONG_SELL": -1,
}  # fmt: skip


class Vote(NamedTuple):
    """The parts of a signal that matter here; `time` is in Unix seconds."""

    strategy: str
    symbol: str
    action: str
    time: float | None

    @property
    def side(self) -> int:
        """1 for up, -1 for down, 0 for neither."""
        return _SIDES.get(self.action.strip().upper(), 0)


class Consensus(NamedTuple):
    """The result for one signal. `share` is between 0 and 1; the names of the strategies are sorted."""

    share: float
    agree: tuple[str, ...]
    disagree: tuple[str, ...]


def consensus_of(voices: Sequence[Vote], weights: Mapping[str, float], window: float) -> list[Consensus]:
    """One result for each vote, in order; `window` is in seconds, the default weight is 1."""
    found = [Consensus(1.0, (voice.strategy,), ()) for voice in voices]
    moments: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for index, voice in enumerate(voices):
        if voice.side:
            moments[voice.symbol, voice.time is None].append(index)
    for indices in moments.values():
        if len(indices) > 1:
            for index, present in _around(voices, indices, window):
                found[index] = _seen(voices[index], present, weights)
    return found


def _around(
    voices: Sequence[Vote], indices: Iterable[int], window: float
) -> Iterator[tuple[int, Counter[tuple[str, int]]]]:
    """Yields each index, in order of time, with the votes within the window around it."""
    ordered = sorted(indices, key=lambda index: voices[index].time or 0.0)
    times = [voices[index].time or 0.0 for index in ordered]
    present: Counter[tuple[str, int]] = Counter()
    first = last = 0
    for index, time in zip(ordered, times, strict=True):
        while last < len(times) and times[last] <= time + window:
            present[_word(voices[ordered[last]])] += 1
            last += 1
        while times[first] < time - window:
            gone = _word(voices[ordered[first]])
            present[gone] -= 1
            if not present[gone]:
                del present[gone]
            first += 1
        yield index, present


def _word(voice: Vote) -> tuple[str, int]:
    return voice.strategy, voice.side


def _seen(voice: Vote, present: Counter[tuple[str, int]], weights: Mapping[str, float]) -> Consensus:
    decided = {name: side for name, side in present if name != voice.strategy and (name, -side) not in present}
    agree = sorted([voice.strategy, *(name for name, side in decided.items() if side == voice.side)])
    disagree = sorted(name for name, side in decided.items() if side != voice.side)
    against = sum(weights.get(name, 1.0) for name in disagree)
    both = against + sum(weights.get(name, 1.0) for name in agree)
    return Consensus(1 - against / both if both else 1.0, tuple(agree), tuple(disagree))
