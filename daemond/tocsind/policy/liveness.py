"""Whether what should move does move. Between two looks at the same part it is in one of four states, and one of them is wrong:

    idle      there is nothing to do
    waiting   for an instant that has not come, or for an event
    in flight the server has a request, which has a deadline of its own
    due       it could act now; then its task needs moments only

A failing server is no standstill: the lane goes on from attempt to attempt. Neither is a full disk: that waits for the operator.
"""

from __future__ import annotations

from math import inf

import msgspec

LEEWAY = 5.0  # s after its deadline that a request may need to return on a busy machine


class Snapshot(msgspec.Struct, frozen=True):
    """The state of one part at one moment. `moves` grows with each action; `due` says in words what it could do now."""

    moves: int = 0
    due: str | None = None
    in_flight: float | None = None  # seconds that its request has been in flight
    deadline: float = inf  # seconds that it may be


def stuck(before: Snapshot, after: Snapshot) -> str | None:
    """Why the part is stuck, given two snapshots some moments apart; None when it is not."""
    if after.in_flight is not None:
        late = after.in_flight > after.deadline + LEEWAY
        return (
            f"a request has been out for {after.in_flight:.0f} s, and its deadline was {after.deadline:g} s"
            if late
            else None
        )
    return after.due if before.due and before.moves == after.moves else None
