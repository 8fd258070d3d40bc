"""Why a lane does not deliver, as hosts that share its destination tell each other."""

from __future__ import annotations

from typing import Protocol

from tocsind.clock import Clock
from tocsind.policy.limiter import Limiter
from tocsind.policy.patience import SHORT_BLOCK, Trouble

from .rerouting import Rerouting


class Lane(Protocol):
    """The part of a lane that the supervisor uses."""

    clock: Clock
    limiter: Limiter
    rerouting: Rerouting
    disabled: str | None


def trouble_of(lane: Lane) -> Trouble | None:
    """Why a lane does not deliver; None when nothing is known against it. A block of a webhook or channel is the same for all hosts."""
    now, outage, address = lane.clock.now(), lane.rerouting.outage, lane.limiter.address
    if lane.disabled is not None:
        return Trouble(now, lane.disabled, is_local=True, is_final=True)
    is_blocked = address.block_ends(now) - now > SHORT_BLOCK
    if outage.is_on and outage.since is not None:
        return Trouble(outage.since, outage.reason or "", is_local=outage.fails or is_blocked)
    return Trouble(now, address.blocked_because or "", is_local=True) if is_blocked else None
