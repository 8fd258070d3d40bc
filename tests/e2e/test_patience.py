"""Discord is unreachable for longer than patience: the fallback delivers, and only ambiguous signals are delivered twice."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.e2e.assertions import Copy, all_delivered, arrived, by_id, delivery, split_alarms, until, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import PRIORITIES

RETRY = '{ first = "50ms", most = "200ms" }'
BREAKER = '{ failures = 3, rest = "200ms", most = "500ms" }'
PATIENCE = '{ urgent = "3s", high = "4s", normal = "1h" }'


def configured(fake: FakeProcess, **options: str) -> str:
    patient = {"retry": RETRY, "breaker": BREAKER, "patience": PATIENCE, "fallback": '["local-file"]', **options}
    return discord("d", fake.webhooks[0]["url"], **patient) + file() + route("d")


def theirs(copies: list[Copy]) -> list[Copy]:
    """The signals of programs, without alarms and reports."""
    return split_alarms(copies)[1]


def test_fallback_delivers_signals_after_patience_while_discord_refuses_connections(tmp_path: Path, port: int) -> None:
    with FakeProcess("--limits", "none", "--port", str(port)) as fake:
        config = configured(fake)
    with DaemonProcess(tmp_path, config).start() as daemon:
        first = time.monotonic()
        ids = {priority: daemon.client.send(priority, priority=priority).id for priority in PRIORITIES}
        assert all_delivered(daemon, [ids["urgent"]])
        first = time.monotonic() - first
        assert all_delivered(daemon, [ids["high"]])
        second = time.monotonic()
        at_once = daemon.client.send("at once", priority="urgent").id
        assert all_delivered(daemon, [at_once])
        second = time.monotonic() - second
        assert second < first, "patience counts from the beginning of the outage"
        assert {delivery(daemon, ids[each])["state"] for each in ("normal", "low")} == {"queued"}
        moved, lane = delivery(daemon, ids["urgent"]), daemon.destination("d")
        assert "; a fallback takes it in 5" in delivery(daemon, ids["normal"])["reason"]  # 59 minutes and some seconds
        assert "fallback" not in delivery(daemon, ids["low"])["reason"]
        assert moved["state"] == "rerouted"
        assert moved["reason"].startswith("to local-file: d has been failing since ")
        assert lane["failing_seconds"] > 2
        assert lane["rerouted"] == 3
        shown = daemon.tocsin("status").stdout
        assert "3 went to a fallback" in " ".join(shown.split())
        with FakeProcess("--limits", "none", "--port", str(port)) as back:
            assert all_delivered(daemon, ids.values())
            later = daemon.client.send("later", priority="urgent").id
            assert all_delivered(daemon, [later])
            copies = [*theirs(arrived(back)), *theirs(written(daemon.state / "alerts.jsonl"))]
            here = {copy.id for copy in arrived(back)}
        assert daemon.destination("d")["failing_seconds"] is None
    assert {id_: len(found) for id_, found in by_id(copies).items()} == dict.fromkeys(
        [*ids.values(), at_once, later], 1
    )
    assert here >= {ids["normal"], ids["low"], later}
    assert not any(copy.marked for copy in copies), "a refused connection is unambiguous"


def test_signal_whose_request_got_no_answer_is_marked_at_the_fallback(tmp_path: Path, fake: FakeProcess) -> None:
    fake.hold(saved=True)
    with DaemonProcess(tmp_path, configured(fake, deadline='"300ms"')).start() as daemon:
        doubtful = daemon.client.send("doubtful", priority="urgent").id
        fake.await_held()
        assert all_delivered(daemon, [doubtful])
        (copy,) = theirs(written(daemon.state / "alerts.jsonl"))
    assert (copy.id, copy.marked) == (doubtful, True)


def test_patience_continues_after_kill(tmp_path: Path, port: int) -> None:
    with FakeProcess("--limits", "none", "--port", str(port)) as fake:
        config = configured(fake, patience='{ urgent = "1h" }')
    with DaemonProcess(tmp_path, config).start() as daemon:
        id_ = daemon.client.send("urgent", priority="urgent").id
        daemon.wait_for("deferred", id=id_)
        daemon.status()  # reads the journal, so it follows the commit
        daemon.kill()
        with closing(sqlite3.connect(daemon.state / "journal.db", isolation_level=None)) as journal:
            journal.execute("UPDATE lanes SET failing_since = failing_since - 3600")  # an hour passes
        daemon.start()
        assert all_delivered(daemon, [id_]), "patience does not start again at the restart"
        assert delivery(daemon, id_)["state"] == "rerouted"


def test_probe_ends_outage_after_queue_was_rerouted(tmp_path: Path, port: int) -> None:
    with FakeProcess("--limits", "none", "--port", str(port)) as fake:
        config = configured(fake)
    with DaemonProcess(tmp_path, config).start() as daemon:
        assert all_delivered(daemon, [daemon.client.send("urgent", priority="urgent").id])
        with FakeProcess("--limits", "none", "--port", str(port)) as back:
            daemon.wait_for("recovered", destination="d")
            assert daemon.destination("d")["condition"] == "ready"
            assert all_delivered(daemon, [daemon.client.send("next", priority="urgent").id])
            until(back, lambda counts: counts["accepted"] >= 1)
            assert [copy.title for copy in theirs(arrived(back))] == ["next"]
