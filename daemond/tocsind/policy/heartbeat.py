"""Whether deliveries work, so that whoever waits for our heartbeat may be told so.

A destination stalls when something has been due there for longer than patience has, and nothing got through meanwhile. What waits
because we chose to wait (a limit, an even pace) is not due; what waits because they fail, shut us out or are gone, is. A quiet
destination stalls never: there is nothing that could tell.
"""

from __future__ import annotations


def is_stalled(waiting: float | None, without_success: float, *, paced: bool, patience: float) -> bool:
    """`waiting`: seconds since the oldest that waits was accepted, None when nothing does. `without_success`: seconds since the last one
    that arrived, or since the daemon began: what an earlier run left behind has its patience, too.
    """
    return waiting is not None and not paced and min(waiting, without_success) > patience
