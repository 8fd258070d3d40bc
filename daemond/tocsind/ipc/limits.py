"""How much a stranger may ask of the door: time, and connections. Numbers for one host, where every peer is a program on it."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Times are seconds."""

    idle: float = 600.0  # between two requests; a client that comes back later opens a new connection by itself
    frame: float = 10.0  # from a frame's first byte to its last, and for a peer to take a reply
    per_uid: int = 256  # connections of one user
    connections: int = 1024  # of all together
    unsynced: int = 64  # requests of ack=received or none that wait for their commit; beyond it their senders wait too
