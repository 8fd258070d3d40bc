"""One destination hangs, fails or is banned; another gets its signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import split_alarms, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route, until

from tocsin.signals import Signal

FAULTS: dict[str, dict[str, Any]] = {
    "hangs": {"behaviour": "slow", "delay": 600, "count": None},
    "hangs up": {"behaviour": "drop", "count": None},
    "is down": {"behaviour": "status", "status": 503, "count": None},
    "is gone": {"behaviour": "status", "status": 404, "code": 10015, "count": None},
    "has banned us": {"behaviour": "rate_limited", "scope": "cloudflare", "retry_after": 3600, "count": None},
}
ALARMS = {"is gone": ["No alerts reach d: it is disabled"], "has banned us": ["No alerts reach d: shut out for 1h"]}


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_destination_does_not_delay_others(tmp_path: Path, fake: FakeProcess, fault: str) -> None:
    # One failure is enough: a signal that fails twice without a response counts as sent, ambiguously, and is not queued any more.
    options = {"deadline": '"1m"', "breaker": '{ failures = 1, rest = "1h", most = "1h" }'}
    config = discord("d", fake.webhooks[0]["url"], **options) + file() + route("d", "local-file")
    fake.script(FAULTS[fault])
    with DaemonProcess(tmp_path, config).start() as daemon:
        receipts = daemon.client.send_many([Signal(f"signal {n}") for n in range(500)])
        for receipt in receipts[:: len(receipts) - 1]:
            daemon.wait_for("sent", id=receipt.id, destination="local-file")
        expected = ALARMS.get(fault, [])
        until(lambda: daemon.destination("local-file")["sent"] == 500 + len(expected))
        troubled, other = (daemon.destination(name) for name in ("d", "local-file"))
        alarms, lines = split_alarms(written(daemon.state / "alerts.jsonl"))
    assert [line.title for line in lines] == [f"signal {n}" for n in range(500)]
    assert [alarm.title for alarm in alarms] == expected
    assert (troubled["sent"], sum(troubled["queued"].values())) == (0, 500)
    assert (other["sent"], sum(other["queued"].values())) == (500 + len(alarms), 0)
