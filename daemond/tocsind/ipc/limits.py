"""Limits of one peer, of one owner and of all peers together: time, connections, memory.

The numbers are for one host, where every peer is a program. Together they keep the daemon below the MemoryHigh= of its unit
(tests/contracts/test_limits_full_size.py measures it): about 60 MiB for the daemon itself, 20 KiB per connection, `unfinished` bytes of
frames and replies, and `in_service` bytes of requests, which take up to 80 times as much when they are decoded.
"""

from __future__ import annotations

import msgspec

_KEPT = 128  # file descriptors for journal, spool, destinations, metrics; half of all where there are few, but at least
_LEAST_KEPT = 32  # of which the start itself opens about twenty


class Limits(msgspec.Struct, frozen=True):
    """Times are seconds, sizes bytes. An owner is a uid, or a range of subordinate uids (`owners`)."""

    idle: float = 600.0  # between two requests; a client opens a new connection by itself
    frame: float = 10.0  # from a frame's first byte to its last, and until a peer has read a reply
    per_uid: int = 256  # connections of one owner
    connections: int = 1024  # of all owners together
    kept: int = 64  # of `connections`, reserved for root and the daemon's own user
    tails_per_uid: int = 32  # each event is written to each tail
    tails: int = 96  # of all owners but root and the daemon's own user
    unfinished_per_uid: int = 8 * 2**20  # incomplete frames, frames that wait for their turn, unread replies
    unfinished: int = 32 * 2**20
    in_service: int = 2**18  # bytes of requests served at the same time; others wait, owner by owner
    unsynced: int = 64  # requests with ack=received or none that wait for their commit; further ones wait


def fitted(descriptors: int) -> Limits:
    """The limits of a process that may open so many file descriptors: connections leave enough of them for everything else."""
    usual = Limits()
    kept = min(_KEPT, max(_LEAST_KEPT, descriptors // 2))
    connections = max(2, min(usual.connections, descriptors - kept))
    return Limits(
        connections=connections,
        kept=min(usual.kept, max(1, connections // 8)),
        per_uid=min(usual.per_uid, max(1, connections // 2)),
    )
