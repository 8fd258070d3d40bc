"""Restarts with an inherited socket while programs send: no connection is refused, and no signal is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.e2e.assertions import all_delivered, written
from tests.harness import PATIENCE, DaemonProcess, file, route, until
from tests.manager import Listening

PROGRAMS, RESTARTS, BETWEEN = 4, 4, 50


class ReconnectingClient:
    """One running program and its receipts."""

    def __init__(self, daemon: DaemonProcess, name: str) -> None:
        self._account = daemon.folder / name
        with self._account.open("wb") as account:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.reconnecting_client", name],
                cwd=Path(__file__).parents[2],
                env={**daemon.env, "TOCSIN_SPOOL": str(daemon.spool)},
                stdin=subprocess.PIPE,
                stdout=account,
            )

    def receipts(self) -> list[dict[str, str]]:
        """The complete lines so far."""
        whole, _, _ = self._account.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def finish(self) -> int:
        """End the program after the current signal; returns its exit code."""
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def await_receipts(clients: Sequence[ReconnectingClient], count: int) -> None:
    until(lambda: all(len(each.receipts()) >= count for each in clients))


@pytest.mark.slow
def test_restarts_under_load_refuse_no_connection_and_lose_nothing(tmp_path: Path) -> None:
    with Listening(tmp_path / "t.sock") as listening, DaemonProcess(tmp_path, file() + route("local-file")) as daemon:

        def start() -> None:
            daemon.start(*listening.inheriting(), **listening.popen)

        start()
        clients = [ReconnectingClient(daemon, f"program-{n}") for n in range(PROGRAMS)]
        try:
            for restart in range(1, RESTARTS + 1):
                await_receipts(clients, BETWEEN * restart)
                assert daemon.stop() == 0
                start()
            codes = [each.finish() for each in clients]
        finally:
            for each in clients:
                each.process.kill()
        assert codes == [0] * PROGRAMS, "no connection was refused"
        receipts = [receipt for each in clients for receipt in each.receipts()]
        outcomes = Counter((receipt["state"], receipt["reason"]) for receipt in receipts)
        assert {state for state, _ in outcomes} <= {"stored", "spooled"}, outcomes
        until(lambda: daemon.status()["spool"]["files"] == 0)
        assert all_delivered(daemon, (receipt["id"] for receipt in receipts))
        lines = [line.id for line in written(daemon.state / "alerts.jsonl")]
    assert sorted(lines) == sorted(receipt["id"] for receipt in receipts), "each once"
    print(f"{len(receipts)} signals over {RESTARTS} restarts: {outcomes}")
