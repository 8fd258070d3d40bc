"""The proof that we get on: the journal's thread answers, and every lane is idle, waits for its time, or moves.

That the loop turns is proved by whoever asks, by being able to. A far end that is gone, a rate limit or a full disk is no standstill; a
restart would mend none of them. What is found here is a bug or a machine that does not answer, and then a fresh start from the journal
is the best there is: the watchdog stops telling the service manager that all is well, and `/healthz` says why.

Each proof stands for itself. What could be done now must be done within PATIENCE of the question, so how often somebody asks makes no
difference, and a machine that slept is not taken for one that hangs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from .clock import Clock
from .errors import StorageFailed
from .journal import Journal
from .lane import Lane
from .policy.progress import Standing, standstill

PATIENCE = 10.0  # seconds for each of the two; a busy disk may take some of them to sync
_GLANCE = 0.02  # seconds between two looks at something that should move in less

_Standings = dict[str, Standing]


class Progress:
    """`await prove()` answers None when all is well, else what stands still, in words for people.

    All well takes some milliseconds; else journal and lanes have `patience` seconds each.
    """

    def __init__(self, journal: Journal, lanes: Iterable[Lane], clock: Clock, patience: float = PATIENCE) -> None:
        self._journal = journal
        self._lanes = lanes
        self._clock = clock
        self._patience = patience

    async def prove(self) -> str | None:
        """Ask all that has to move whether it does."""
        return await self._journal_trouble() or await self._lane_trouble()

    async def _journal_trouble(self) -> str | None:
        with trio.move_on_after(self._patience):
            try:
                return await self._journal.run(lambda _: None)
            except StorageFailed as failed:
                return str(failed)
        return f"the journal has not answered for {self._patience:g} s"

    async def _lane_trouble(self) -> str | None:
        """None once nothing stands still any more; else, when the time has run out, what does."""
        before = self._standings()
        still = _still(before, before)
        with trio.move_on_after(self._patience):
            while still:
                await trio.sleep(_GLANCE)
                still = _still(before, self._standings())
        return next(iter(still), None)

    def _standings(self) -> _Standings:
        return {name: standing for lane in self._lanes for name, standing in self._of(lane)}

    def _of(self, lane: Lane) -> Iterator[tuple[str, Standing]]:
        """The lane as a whole, and each of its senders, which look into the journal on their own."""
        now = self._clock.now()
        out = None if lane.out_since is None else now - lane.out_since
        due = "something may be sent, and nobody sends it" if _is_due(lane, now) else None
        yield lane.name, Standing(lane.channel.turns, due, out, lane.options.deadline)
        if not lane.channel.busy:  # else a lane that is about to start anew may be waiting for what is in flight
            for sender in lane.senders:
                due = "its queue is not read" if sender.may_have_more() else None
                yield f"{lane.name} {sender.priority.label}", Standing(sender.looks, due)


def _is_due(lane: Lane, now: float) -> bool:
    """Whether something could be sent this moment: a turn is to be had, and gate and breaker are open for somebody who wants it."""
    return not lane.channel.busy and any(
        sender.wants() and lane.opens_at(now, sender.priority) <= now for sender in lane.senders
    )


def _still(before: _Standings, after: _Standings) -> list[str]:
    """What stands still; what is gone moves, and what is new has just done so."""
    told = {name: standstill(before.get(name, Standing()), standing) for name, standing in after.items()}
    return [f"{name}: {why}" for name, why in told.items() if why]
