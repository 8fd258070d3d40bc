"""A peer that sends many requests before it reads gets every receipt, complete and in order."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.contracts.raw_peer import Peer
from tests.harness import DaemonProcess, file, route

FRAMES, SIGNALS = 40, 100  # the receipts are several times the socket's buffer


def until_stuck(daemon: DaemonProcess) -> None:
    """Wait until the daemon stops reading from a peer that does not read: fifty replies to others without an accepted signal."""
    seen: list[int] = []
    while len(seen) < 50 or len(set(seen[-50:])) > 1:
        seen.append(daemon.status()["counters"]["signals_accepted"])
    assert 0 < seen[-1] < FRAMES * SIGNALS


def test_receipts_beyond_socket_buffer_arrive_later(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        peer = Peer(daemon.socket)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number in range(FRAMES):
            peer.json({"op": "send_many", "v": 1, "signals": [{"title": f"{number}.{n}"} for n in range(SIGNALS)]})
        until_stuck(daemon)
        replies = [peer.reply() for _ in range(FRAMES)]
        assert [len(reply["receipts"]) for reply in replies if reply] == [SIGNALS] * FRAMES
        assert len({receipt["id"] for reply in replies if reply for receipt in reply["receipts"]}) == FRAMES * SIGNALS
        peer.socket.close()
