"""Whether what ought to move does. Between two looks at the same thing there are four ways to stand, and one of them is wrong:

    idle      there is nothing to do
    waiting   for a time that has not passed, or for something that has to happen first
    out       with the far end, which has a deadline of its own
    due       it could be done now; then whoever does it takes moments

A far end that fails is no standstill: the lane moves, from attempt to attempt. Nor is a full disk: what waits for it waits for a person.
"""

from __future__ import annotations

from math import inf

import msgspec

LEEWAY = 5.0  # seconds after its deadline that a request may need to come home on a busy machine


class Snapshot(msgspec.Struct, frozen=True):
    """How one thing stands at one moment. `moves` grows with each thing it does; `due` says in words what it could do now."""

    moves: int = 0
    due: str | None = None
    in_flight: float | None = None  # seconds that a request of it has been with the far end
    deadline: float = inf  # seconds that it may be


def stuck(before: Snapshot, after: Snapshot) -> str | None:
    """Why this is not how it should be, some moments later; None when it is well."""
    if after.in_flight is not None:
        late = after.in_flight > after.deadline + LEEWAY
        return (
            f"a request has been out for {after.in_flight:.0f} s, and its deadline was {after.deadline:g} s"
            if late
            else None
        )
    return after.due if before.due and before.moves == after.moves else None
