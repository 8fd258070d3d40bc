"""Whether the daemon makes progress: the journal thread responds, and every lane is idle, waits for a time, or moves.

The event loop turns, or nothing could ask. A server that is down, a rate limit or a full disk is no lack of progress, because a restart
would repair none of them. What this check finds is a bug, or a machine that does not respond; then a restart from the journal is the best
remedy: the watchdog stops its keep-alive messages to the service manager, and `/healthz` says why.

Each check is independent. What could be done at its start must be done within PATIENCE, so the result does not depend on how often
it runs, and a machine that was suspended is not taken for one that hangs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import LaneView
from tocsind.errors import StorageFailed
from tocsind.journal import Journal
from tocsind.policy.liveness import Snapshot, stuck

PATIENCE = 10.0  # seconds for the journal, and for the lanes; a busy disk may need some of them for a sync
_RECHECK_SECONDS = 0.02  # between two snapshots while something is stuck

_Snapshots = dict[str, Snapshot]


class Liveness:
    """`await check()` returns None, or what is stuck, for people.

    It returns within milliseconds while all is well; otherwise after `patience` seconds for the journal, and as many for the lanes.
    """

    def __init__(self, journal: Journal, lanes: Iterable[Lane], patience: float = PATIENCE) -> None:
        self._journal = journal
        self._lanes = lanes
        self._patience = patience

    async def check(self) -> str | None:
        """Check the journal, then the lanes."""
        return await self._journal_problem() or await self._lane_problem()

    async def _journal_problem(self) -> str | None:
        with trio.move_on_after(self._patience):
            try:
                return await self._journal.run(lambda _: None)
            except StorageFailed as failed:
                return str(failed)
        return f"the journal has not answered for {self._patience:g} s"

    async def _lane_problem(self) -> str | None:
        """None as soon as every lane has moved or has nothing to do."""
        before = self._snapshots()
        still = _stuck(before, before)
        with trio.move_on_after(self._patience):
            while still:
                await trio.sleep(_RECHECK_SECONDS)
                still = _stuck(before, self._snapshots())
        return next(iter(still), None)

    def _snapshots(self) -> _Snapshots:
        return {name: snapshot for lane in self._lanes for name, snapshot in _snapshots_of(lane.snapshot())}


def _snapshots_of(view: LaneView) -> Iterator[tuple[str, Snapshot]]:
    """The lane as a whole, and each of its senders, because each reads the journal on its own."""
    due = "a delivery may be sent, and no sender sends it" if _is_due(view) else None
    yield view.name, Snapshot(view.turns, due, view.in_flight_for, view.deadline)
    if (
        not view.turn_taken
    ):  # a lane that restarts its senders waits for the request in flight, and nothing reads meanwhile
        for sender in view.senders:
            due = "its queue is not read" if sender.read_pending else None
            yield f"{view.name} {sender.priority.label}", Snapshot(sender.reads, due)


def _is_due(view: LaneView) -> bool:
    """Whether a sender could send at this moment: its turn queue is free, and limiter and breaker allow a request."""
    return not view.turn_taken and any(
        sender.has_work and view.limits.ready_in[sender.priority] <= 0 for sender in view.senders
    )


def _stuck(before: _Snapshots, after: _Snapshots) -> list[str]:
    """What is stuck. A name that is gone has moved, and a new one has just been made."""
    found = {name: stuck(before.get(name, Snapshot()), snapshot) for name, snapshot in after.items()}
    return [f"{name}: {why}" for name, why in found.items() if why]
