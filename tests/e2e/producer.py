"""A program that sends each signal under one id until the daemon has stored it.

    python -m tests.e2e.producer NAME COUNT EVERY

It sends COUNT signals, one each EVERY seconds, with the four priorities in turn, and ends early when its standard input does. Stored
signals go to standard output as JSON lines.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.harness import PATIENCE, DaemonProcess

import tocsin
from tocsin.errors import TocsinError
from tocsin.signals import PRIORITIES, Signal

AGAIN = 0.005  # seconds between two tries: the daemon may be down, and four producers share two cores with it


class Producer:
    """A running producer. `stop` lets it finish the current signal; `finish` waits until all are sent."""

    def __init__(self, daemon: DaemonProcess, name: str, count: int, every: float = 0.0) -> None:
        self._account = daemon.folder / f"{name}.jsonl"
        with self._account.open("wb") as account:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.producer", name, str(count), str(every)],
                cwd=Path(__file__).parents[2],
                env=daemon.env,
                stdin=subprocess.PIPE,
                stdout=account,
            )

    def finish(self) -> list[dict[str, Any]]:
        """Wait for the end; returns the stored signals in order."""
        assert self.process.wait(PATIENCE * 2) == 0
        return [json.loads(line) for line in self._account.read_text().splitlines()]

    def stop(self) -> list[dict[str, Any]]:
        """End the producer; returns the stored signals in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait(PATIENCE)


def main(name: str, count: str, every: str) -> None:
    """Send the signals."""
    with tocsin.Client(timeout=20.0, strict=True) as client:
        for number in range(int(count)):
            if select.select([sys.stdin], [], [], float(every))[0]:
                return
            priority = PRIORITIES[number % len(PRIORITIES)]
            signal = Signal(f"{name} {number:05d}", priority=priority)
            state = _send_until_stored(client, signal)
            print(
                json.dumps({"id": signal.id, "title": signal.title, "priority": priority, "state": state}), flush=True
            )


def _send_until_stored(client: tocsin.Client, signal: Signal) -> str:
    while True:
        try:
            receipt = client.send(signal)
        except TocsinError:
            time.sleep(AGAIN)
            continue
        assert receipt.state in {"stored", "duplicate"}, receipt
        return receipt.state


if __name__ == "__main__":
    main(*sys.argv[1:])
