"""Whether deliveries work: the condition for sending a heartbeat.

A destination is stalled when a delivery has been due there for longer than the patience, and none arrived in that time. A delivery that
waits for a limit or an even pace is not due. One that waits because the server fails, blocks us or is gone is due. A destination without
waiting deliveries is never stalled: nothing shows its state.
"""

from __future__ import annotations


def is_stalled(waiting: float | None, without_success: float, *, paced: bool, patience: float) -> bool:
    """Whether the destination is stalled.

    `waiting`: seconds since the oldest waiting delivery was accepted; None: none waits. `without_success`: seconds since the last delivery
    arrived, or since the daemon started, so that deliveries of an earlier run get their patience too.
    """
    return waiting is not None and not paced and min(waiting, without_success) > patience
