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

from tocsind.clock import Clock
from tocsind.delivery.lane import Lane
from tocsind.errors import StorageFailed
from tocsind.journal import Journal
from tocsind.policy.liveness import Snapshot, stuck

PATIENCE = 10.0  # seconds for each of the two; a busy disk may take some of them to sync
_RECHECK_SECONDS = 0.02  # seconds between two looks at something that should move in less

_Snapshots = dict[str, Snapshot]


class Liveness:
    """`await prove()` answers None when all is well, else what stands still, in words for people.

    All well takes some milliseconds; else journal and lanes have `patience` seconds each.
    """

    def __init__(self, journal: Journal, lanes: Iterable[Lane], clock: Clock, patience: float = PATIENCE) -> None:
        self._journal = journal
        self._lanes = lanes
        self._clock = clock
        self._patience = patience

    async def check(self) -> str | None:
        """Ask all that has to move whether it does."""
        return await self._journal_problem() or await self._lane_problem()

    async def _journal_problem(self) -> str | None:
        with trio.move_on_after(self._patience):
            try:
                return await self._journal.run(lambda _: None)
            except StorageFailed as failed:
                return str(failed)
        return f"the journal has not answered for {self._patience:g} s"

    async def _lane_problem(self) -> str | None:
        """None once nothing stands still any more; else, when the time has run out, what does."""
        before = self._snapshots()
        still = _stuck(before, before)
        with trio.move_on_after(self._patience):
            while still:
                await trio.sleep(_RECHECK_SECONDS)
                still = _stuck(before, self._snapshots())
        return next(iter(still), None)

    def _snapshots(self) -> _Snapshots:
        return {name: standing for lane in self._lanes for name, standing in self._snapshot_of(lane)}

    def _snapshot_of(self, lane: Lane) -> Iterator[tuple[str, Snapshot]]:
        """The lane as a whole, and each of its senders, which look into the journal on their own."""
        now = self._clock.now()
        out = None if lane.in_flight_since is None else now - lane.in_flight_since
        due = "something may be sent, and nobody sends it" if _is_due(lane, now) else None
        yield lane.name, Snapshot(lane.turns.turns, due, out, lane.options.deadline)
        if not lane.turns.busy:  # else a lane that is about to start anew may be waiting for what is in flight
            for sender in lane.senders:
                due = "its queue is not read" if sender.may_hold_more() else None
                yield f"{lane.name} {sender.priority.label}", Snapshot(sender.reads, due)


def _is_due(lane: Lane, now: float) -> bool:
    """Whether something could be sent this moment: a turn is to be had, and gate and breaker are open for somebody who wants it."""
    return not lane.turns.busy and any(
        sender.has_work() and lane.opens_at(now, sender.priority) <= now for sender in lane.senders
    )


def _stuck(before: _Snapshots, after: _Snapshots) -> list[str]:
    """What stands still; what is gone moves, and what is new has just done so."""
    told = {name: stuck(before.get(name, Snapshot()), standing) for name, standing in after.items()}
    return [f"{name}: {why}" for name, why in told.items() if why]
