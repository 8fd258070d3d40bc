"""The destination fails for a while: the breaker opens once, sends one probe at a time, and closes without an operator."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.assertions import all_delivered, arrived, attempts
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import Signal

RETRY = '{ first = "10ms", most = "50ms" }'
BREAKER = '{ failures = 3, rest = "100ms", most = "200ms" }'
FAILURE = ("deferred", "503 from Discord: it may have arrived")


def test_outage_opens_breaker_once_and_recovers_without_operator(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], retry=RETRY, breaker=BREAKER) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        fake.script({"behaviour": "status", "status": 503, "count": None})
        stored = [receipt.id for receipt in daemon.client.send_many([Signal(f"signal {n}") for n in range(200)])]
        daemon.wait_for("probe-failed", destination="d")
        assert daemon.destination("d")["condition"] in {"failing", "probing"}
        assert daemon.status()["health"] == "failing"  # there is no other destination
        daemon.wait_for("probe-failed", destination="d", nth=3)
        fake.control("DELETE", "script")
        daemon.wait_for("recovered", destination="d")
        assert all_delivered(daemon, stored)
        status, lane = daemon.status(), daemon.destination("d")
        story = {id_: attempts(daemon, id_) for id_ in stored}
    counts = fake.counts()
    failed = counts["by_status"]["503"]
    assert failed >= 3 + 3  # three that open it, and the probes
    assert counts["posts"] == failed + counts["accepted"]
    assert set(counts["most_in_flight"].values()) == {1}
    assert status["counters"]["circuit_breaker_trips"] == lane["trips"] == 1
    assert (lane["condition"], lane["sent"], lane["dead"]) == ("ready", 200, 0)
    assert (status["health"], status["queue"]["depth"]) == ("ok", 0)
    assert (
        sum(each.count(FAILURE) for each in story.values()) <= 10 + failed - 1
    )  # one message of ten, then single signals
    assert all(each[-1] == ("delivered", None) and set(each[:-1]) <= {FAILURE} for each in story.values())
    copies = arrived(fake)
    assert sorted(copy.id for copy in copies) == sorted(stored)
    # a message that failed with a 5xx may have been saved, and is marked
    assert {copy.id for copy in copies if copy.marked} == {id_ for id_, each in story.items() if len(each) > 1}


def test_outage_costs_few_requests_with_any_backlog(tmp_path: Path, fake: FakeProcess) -> None:
    breaker = '{ failures = 3, rest = "1h", most = "1h" }'
    config = discord("d", fake.webhooks[0]["url"], retry=RETRY, breaker=breaker) + route("d")
    fake.script({"behaviour": "status", "status": 503, "count": None, "html": True})
    with DaemonProcess(tmp_path, config).start() as daemon:
        for batch in range(5):
            daemon.client.send_many([Signal(f"signal {batch} {n}") for n in range(100)])
        daemon.wait_for("breaker-opened", destination="d")
        daemon.client.send("one more", priority="urgent")
        lane = daemon.destination("d")
    assert lane["condition"] == "failing"
    assert 3000 < lane["until_seconds"] <= 3600
    assert sum(lane["queued"].values()) == 501
    assert fake.counts()["posts"] == 3


def test_open_breaker_survives_kill_and_closes_with_one_probe(tmp_path: Path, fake: FakeProcess) -> None:
    url = fake.webhooks[0]["url"]
    breaker = '{ failures = 2, rest = "1h", most = "1h" }'
    fake.script({"behaviour": "status", "status": 502, "count": 2})
    with DaemonProcess(tmp_path, discord("d", url, retry=RETRY, breaker=breaker) + route("d")).start() as daemon:
        stored = [receipt.id for receipt in daemon.client.send_many([Signal(f"signal {n}") for n in range(20)])]
        daemon.wait_for("breaker-opened", destination="d")
        daemon.status()  # reads the journal, so it follows the commit
        daemon.kill()
        daemon.start()
        lane = daemon.destination("d")
        assert (lane["condition"], lane["trips"]) == ("failing", 1)
        assert 3000 < lane["until_seconds"] <= 3600
        assert fake.counts()["posts"] == 2
        daemon.configure(discord("d", url, retry=RETRY, breaker=BREAKER) + route("d"))
        daemon.reload()  # no rest is longer than the current configuration allows
        daemon.wait_for("recovered", destination="d")
        assert all_delivered(daemon, stored)
        assert daemon.destination("d")["trips"] == 1
    counts = fake.counts()
    assert counts["posts"] - counts["accepted"] == 2
    assert sorted(copy.id for copy in arrived(fake)) == sorted(stored)
    assert set(counts["most_in_flight"].values()) == {1}
