"""How much one peer, one owner and all peers together may use of the daemon: time, connections, memory.

The numbers are for one host, where every peer is a program on it. Together they keep the daemon below the MemoryHigh= of its unit
(tests/contracts/test_limits_full_size.py measures it): about 60 MiB of its own, 20 KiB for each connection, `unfinished` bytes of frames
and replies, and what `in_service` bytes of requests become when they are decoded (up to 80 times as much).
"""

from __future__ import annotations

import msgspec

_KEPT = 128  # descriptors for journal, spool, destinations, metrics; of a process that may have few, a half, but no less than
_LEAST_KEPT = 32  # what a start opens is about twenty


class Limits(msgspec.Struct, frozen=True):
    """Times are seconds, sizes bytes. An owner is a uid, or a range of subordinate uids (`owners`)."""

    idle: float = 600.0  # between two requests; a client that comes back later opens a new connection by itself
    frame: float = 10.0  # from a frame's first byte to its last, and for a peer to take a reply
    per_uid: int = 256  # connections of one owner
    connections: int = 1024  # of all together
    kept: int = 64  # of those, for root and the daemon's own user
    tails_per_uid: int = 32  # each fact is written to each of them
    tails: int = 96  # of all but root and the daemon's own user
    unfinished_per_uid: int = 8 * 2**20  # incomplete frames, frames that wait for their turn, replies that are not read
    unfinished: int = 32 * 2**20
    in_service: int = (
        2**18
    )  # requests that are served at the same time, so one large one; the others wait for their turn, owner by owner
    unsynced: int = 64  # requests of ack=received or none that wait for their commit; beyond it their senders wait too


def fitted(descriptors: int) -> Limits:
    """The limits of a process that may open so many descriptors: connections leave enough of them for everything else."""
    usual = Limits()
    kept = min(_KEPT, max(_LEAST_KEPT, descriptors // 2))
    connections = max(2, min(usual.connections, descriptors - kept))
    return Limits(
        connections=connections,
        kept=min(usual.kept, max(1, connections // 8)),
        per_uid=min(usual.per_uid, max(1, connections // 2)),
    )
