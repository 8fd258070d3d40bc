"""A signal past its deadline is never posted as live; it is counted, listed, and explained."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.assertions import all_delivered, arrived, delivery, hold_one, queue, until
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import PRIORITIES, Signal

TOO_LATE = "its time passed before it could be sent"
TOO_LATE_IN_DOUBT = "its time passed; an earlier attempt may have posted it"
SOON = 1.5  # seconds
IN_TIME = 4.0  # seconds; a busy machine sends a request within them


def assert_expired(daemon: DaemonProcess, *ids: str) -> None:
    """All replies report these signals as expired."""
    assert set(daemon.settled(*ids)) == {"dropped"}
    for id_ in ids:
        mine = delivery(daemon, id_)
        assert (mine["state"], mine["reason"]) == ("expired", TOO_LATE)
    assert {row["id"] for row in queue(daemon, state="expired")} == set(ids)


def test_signals_that_expire_while_lane_waits_are_never_posted(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        plug = hold_one(fake, daemon)
        # 75 of each priority: more than the 64 in memory
        mortal = [Signal(f"mortal {n}", priority=PRIORITIES[n % 4], expires=SOON) for n in range(300)]
        lasting = [Signal(f"lasting {n}", priority=PRIORITIES[n % 4], expires="1h") for n in range(8)]
        receipts = daemon.client.send_many([*mortal, *lasting])
        assert_expired(daemon, *(each.id for each in mortal))
        assert daemon.status()["counters"]["deliveries_expired"] == 300
        assert daemon.status()["counters"]["queue_depth"] == 9
        fake.control("POST", "release")
        assert all_delivered(daemon, [plug, *(receipt.id for receipt in receipts[300:])])
    assert {copy.id for copy in arrived(fake)} == {plug, *(each.id for each in lasting)}


def test_signal_that_expires_while_daemon_is_down_is_not_posted(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        plug = hold_one(fake, daemon)
        mortal = daemon.client.send("mortal", expires=SOON).id
        lasting = daemon.client.send("lasting").id
        accepted = daemon.client.why(mortal)["accepted"]
        daemon.kill()
        time.sleep(max(0.0, accepted + SOON - time.time()))  # with no daemon that could expire it
        fake.control("POST", "release")
        daemon.start()
        assert_expired(daemon, mortal)
        assert all_delivered(daemon, [plug, lasting])
    assert {copy.id for copy in arrived(fake)} == {plug, lasting}


def test_signal_that_expires_between_attempts_is_settled_at_once(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        fake.script({"behaviour": "status", "status": 503})
        fake.control("POST", "hold")
        mortal = daemon.client.send("mortal", expires=IN_TIME).id
        until(fake, lambda counts: counts["held"] == 1)
        bystander = daemon.client.send("bystander", expires=IN_TIME, to="d").id
        assert_expired(daemon, bystander)  # so the other signal has expired as well, while its request is in flight
        assert delivery(daemon, mortal)["state"] == "sending"
        fake.control("POST", "release")
        assert daemon.settled(mortal) == ["dropped"]
        mine = delivery(daemon, mortal)
        assert (mine["state"], mine["reason"]) == ("expired", TOO_LATE_IN_DOUBT), "503 may follow a post"
        assert [attempt["outcome"] for attempt in mine["attempts"]] == ["deferred"]
    assert arrived(fake) == []
    assert fake.counts()["posts"] == 1


def test_requeued_signal_past_its_deadline_is_not_posted(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        fake.script({"behaviour": "status", "status": 400, "code": 50006})
        mortal = daemon.client.send("mortal", expires=IN_TIME).id
        assert daemon.settled(mortal) == ["dead"]
        hold_one(fake, daemon)
        bystander = daemon.client.send("bystander", expires=IN_TIME).id
        assert_expired(daemon, bystander)
        daemon.client.request("retry", id=mortal)
        assert_expired(daemon, bystander, mortal)
    assert fake.counts()["posts"] == 2


def test_signal_whose_answer_comes_after_its_deadline_is_sent(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        fake.hold(saved=True)
        mortal = daemon.client.send("mortal", expires=IN_TIME).id
        until(fake, lambda counts: counts["held"] == 1)
        assert_expired(daemon, daemon.client.send("bystander", expires=IN_TIME).id)
        assert delivery(daemon, mortal)["state"] == "sending"
        assert daemon.client.request("drop", id=mortal)["deliveries"] == 0
        fake.control("POST", "release")
        assert daemon.settled(mortal) == ["delivered"]
        mine = delivery(daemon, mortal)
        assert (mine["state"], mine["reason"]) == ("sent", "its time had passed when the answer came")
    assert [copy.id for copy in arrived(fake)] == [mortal]
