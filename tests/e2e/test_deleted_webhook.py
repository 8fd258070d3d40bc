"""A webhook is deleted while hundreds are queued, or while the daemon is down: one request detects it, and the queue moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.assertions import (
    Copy,
    all_delivered,
    arrived,
    attempts,
    delivery,
    hold_one,
    split_alarms,
    until,
    written,
)
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import PRIORITIES, Signal

GONE = "404 from Discord: Unknown Webhook"
HUNDREDS = 300


def delete_under_load(fake: FakeProcess, daemon: DaemonProcess) -> list[str]:
    """Delete the first webhook while one request is in flight and hundreds are queued; returns all ids in the order of sending."""
    plug = hold_one(fake, daemon)
    many = [Signal(f"signal {n}", priority=PRIORITIES[n * len(PRIORITIES) // HUNDREDS]) for n in range(HUNDREDS)]
    stored = [plug, *(receipt.id for receipt in daemon.client.send_many(many))]
    fake.control("POST", "delete", {"webhook": fake.webhooks[0]["id"]})
    fake.control("POST", "release")
    daemon.wait_for("disabled", destination="d")
    daemon.status()  # reads the journal, so it follows the commit of the event
    return stored


def rank(copy: Copy) -> int:
    """The rank of its priority; 0 is the highest."""
    return PRIORITIES.index(copy.priority)


def assert_hit_once(fake: FakeProcess) -> None:
    """The deleted webhook got one request."""
    assert fake.counts()["after_deletion"] == {fake.webhooks[0]["id"]: 1}


@pytest.mark.parametrize("kind", ["webhook", "file"])
def test_deleted_webhook_gets_one_request_and_its_queue_moves_to_fallback(tmp_path: Path, kind: str) -> None:
    with FakeProcess("--limits", "none", "--webhooks", "2") as fake:
        spare = discord("spare", fake.webhooks[1]["url"]) if kind == "webhook" else file("spare")
        fake.script(
            {"behaviour": "slow", "delay": 2.0, "webhook": fake.webhooks[1]["id"]}
        )  # until all deliveries have moved
        config = discord("d", fake.webhooks[0]["url"], fallback='["spare"]', deadline='"1m"') + spare + route("d")
        with DaemonProcess(tmp_path, config).start() as daemon:
            busy = daemon.client.send("the spare one is busy", to="spare").id
            until(fake, lambda counts: kind == "file" or counts["accepted"] == 1)
            stored = delete_under_load(fake, daemon)
            assert all_delivered(daemon, [busy, *stored])
            status, lane = daemon.status(), daemon.destination("d")
            first = delivery(daemon, stored[1])
            moved = {delivery(daemon, id_, "spare")["state"] for id_ in stored}
            copies = arrived(fake) if kind == "webhook" else written(daemon.state / "alerts.jsonl")
        assert_hit_once(fake)
    alarms, theirs = split_alarms(copies)
    assert [alarm.title for alarm in alarms] == ["No alerts reach d: it is disabled"]
    ids = [copy.id for copy in theirs]
    if kind == "webhook":
        assert ids == [busy, *stored]
    else:  # a file is fast, and may begin before all deliveries have moved
        assert [id_ for copy in sorted(theirs, key=rank) if (id_ := copy.id) != busy] == stored
    assert not any(copy.marked for copy in copies)  # a refusal is unambiguous
    assert (lane["condition"], lane["reason"], sum(lane["queued"].values())) == ("disabled", GONE, 0)
    assert status["health"] == "degraded"
    assert f"d is disabled: {GONE}; `tocsin enable d` puts it back" in status["problems"]
    assert (first["state"], first["reason"], first["attempts"]) == ("rerouted", f"to spare: {GONE}", [])
    assert moved == {"sent"}


def test_queue_of_deleted_webhook_without_fallback_waits_for_a_new_webhook(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = delete_under_load(fake, daemon)
        assert sum(daemon.destination("d")["queued"].values()) == len(stored)
        assert daemon.stop() == 0
        daemon.start()
        stored.append(daemon.client.send("one more", priority="low").id)
        lane = daemon.destination("d")
        assert (lane["condition"], lane["reason"]) == ("disabled", GONE)
        assert sum(lane["queued"].values()) == len(stored)
        assert fake.counts()["accepted"] == 0
        assert daemon.stop() == 0
        alive = fake.control("POST", "webhooks", {})
        daemon.configure(discord("d", alive["url"], deadline='"1m"') + route("d"))
        daemon.start()  # a new webhook is not disabled because the old one was
        assert all_delivered(daemon, stored)
        assert attempts(daemon, stored[0]) == [("refused", GONE), ("delivered", None)]
        assert daemon.destination("d")["condition"] == "ready"
        assert daemon.status()["health"] == "ok"
    assert [copy.id for copy in arrived(fake)] == stored
    assert_hit_once(fake)


def test_enabling_a_deleted_webhook_costs_one_request(tmp_path: Path, fake: FakeProcess) -> None:
    fake.control("POST", "delete", {"webhook": fake.webhooks[0]["id"]})
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = [receipt.id for receipt in daemon.client.send_many([Signal(f"signal {n}") for n in range(20)])]
        daemon.wait_for("disabled", destination="d")
        daemon.client.request("enable", destination="d")
        until(fake, lambda counts: counts["requests"] == 2)
        daemon.client.send("to be behind the second refusal")
        assert daemon.stop() == 0
        daemon.start()
        assert daemon.destination("d")["condition"] == "disabled"
        assert sum(daemon.destination("d")["queued"].values()) == len(stored) + 1
    assert fake.counts()["after_deletion"] == {fake.webhooks[0]["id"]: 2}
    assert fake.counts()["posts"] == 0  # both were probes


def test_disabled_webhook_stays_disabled_after_kill_and_fallback_delivers(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], fallback='["spare"]', deadline='"1m"') + file("spare") + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = delete_under_load(fake, daemon)
        daemon.kill()
        daemon.start()
        assert daemon.destination("d")["condition"] == "disabled"
        stored.append(daemon.client.send("one more", priority="low").id)
        assert all_delivered(daemon, stored)
        assert_hit_once(fake)
        _, theirs = split_alarms(written(daemon.state / "alerts.jsonl"))
        assert {copy.id for copy in theirs} == set(stored)
