"""A program that opens a new connection and sends a signal, repeatedly; a refused connection ends it.

    python -m tests.e2e.reconnecting_client NAME

It runs until its standard input ends. Receipts go to standard output as JSON lines.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from itertools import count

import tocsin


def main(name: str) -> None:
    """Connect and send."""
    for number in count():
        if select.select([sys.stdin], [], [], 0.002)[0]:
            return
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.environ["TOCSIN_SOCKET"])  # raises without a listener: then this program has failed
        with tocsin.Client(timeout=20.0) as client:
            receipt = client.send(f"{name} {number}")
        print(json.dumps({"id": receipt.id, "state": receipt.state, "reason": receipt.reason}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
