"""Discord blocks one webhook for good, or the address for an hour: the alarm, its route, and the state after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, delivery, split_alarms, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import PRIORITIES

GONE = "404 from Discord: Unknown Webhook"
HOUR = 3600.0
PATIENT = {"retry": '{ first = "1h", most = "1h" }'}


def lanes(fake: FakeProcess, **options: str) -> str:
    """Two Discord lanes and a file; the route takes the first."""
    first, second = (hook["url"] for hook in fake.webhooks)
    return discord("d", first, **options) + discord("other", second) + file() + route("d")


@pytest.mark.parametrize("fallback", ["other", "local-file"])
def test_webhook_deleted_while_daemon_is_down_is_detected_without_a_signal(
    tmp_path: Path, two: FakeProcess, fallback: str
) -> None:
    two.script({"behaviour": "status", "status": 503})
    with DaemonProcess(tmp_path, lanes(two, fallback=f'["{fallback}"]', **PATIENT)).start() as daemon:
        first = daemon.client.send("waits for its second try").id
        daemon.wait_for("deferred", id=first)
        assert daemon.stop() == 0
        two.control("POST", "delete", {"webhook": two.webhooks[0]["id"]})
        posts = two.counts()["posts"]
        daemon.start()
        assert daemon.wait_for("disabled", destination="d")["reason"] == GONE
        later = [daemon.client.send(f"signal {n}", priority=each).id for n, each in enumerate(PRIORITIES)]
        assert all_delivered(daemon, [first, *later])
        alarm = daemon.wait_for("alarm-raised", about="d")
        assert alarm["route"] == "other", "a channel that a person reads, before a file"
        assert all_delivered(daemon, [alarm["id"]])
        moved = delivery(daemon, first)
        copies = arrived(two) + (written(daemon.state / "alerts.jsonl") if fallback == "local-file" else [])
    alarms, theirs = split_alarms(copies)
    assert [(alarm.title, alarm.priority) for alarm in alarms] == [("No alerts reach d: it is disabled", "high")]
    assert sorted(copy.id for copy in theirs) == sorted([first, *later])
    assert (moved["state"], moved["reason"]) == ("rerouted", f"to {fallback}: {GONE}")
    assert two.counts()["after_deletion"] == {two.webhooks[0]["id"]: 1}  # a probe
    assert two.counts()["posts"] - posts == len(two.messages())


def test_address_ban_limits_all_discord_lanes_and_alarms_through_file(tmp_path: Path, two: FakeProcess) -> None:
    two.script({"behaviour": "status", "status": 429, "html": True, "retry_after": HOUR})
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        banned = daemon.client.send("the ban's own").id
        daemon.wait_for("sent", destination="local-file")  # the alarm
        daemon.client.send("to the other", to="other", priority="urgent")
        written_ = [daemon.client.send(f"to the file {n}", to="local-file").id for n in range(3)]
        assert all_delivered(daemon, written_)
        d, other, plain = (daemon.destination(name) for name in ("d", "other", "local-file"))
        story, counters = attempts(daemon, banned), daemon.status()["counters"]
        alarms, theirs = split_alarms(written(daemon.state / "alerts.jsonl"))
    assert [lane["condition"] for lane in (d, other, plain)] == ["limited", "limited", "ready"]
    assert d["reason"] == other["reason"] == "429 from Cloudflare: this address is blocked for 3600 s"
    assert all(HOUR - 60 < lane["until_seconds"] <= HOUR for lane in (d, other))
    assert story == [("deferred", d["reason"])]
    assert [alarm.title for alarm in alarms] == ["No alerts reach d: shut out for 1h"]
    assert [copy.id for copy in theirs] == written_
    assert (counters["circuit_breaker_trips"], counters["notifications_failed"]) == (0, 0)
    assert two.counts()["posts"] == 1


def test_ban_without_duration_lasts_a_minute_and_ignores_enable(tmp_path: Path, fake: FakeProcess) -> None:
    """The second ban lasts two minutes, and so on (tests/policy); each further request would extend it."""
    fake.script({"behaviour": "status", "status": 429, "html": True, "count": 2})
    with DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"]) + route("d")).start() as daemon:
        daemon.client.send("patience")
        limited = daemon.wait_for("rate-limited", destination="d")
        reply = daemon.client.request("enable", destination="d")
        lane = daemon.destination("d")
        waiting = daemon.client.why(daemon.client.send("another").id)["deliveries"][0]["reason"]
    assert limited["seconds"] == 60
    assert (
        reply["note"]
        == f"d was not disabled; it still waits, and `tocsin enable` cannot lift that: {limited['reason']}"
    )
    assert (lane["condition"], lane["reason"]) == ("limited", limited["reason"])
    assert waiting == limited["reason"]
    assert fake.counts()["posts"] == 1


def test_retry_after_of_an_hour_is_shown_and_survives_restart(tmp_path: Path, two: FakeProcess) -> None:
    reason = "429 from Discord (user): 3600 s"
    two.script({"behaviour": "rate_limited", "retry_after": HOUR})
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        id_ = daemon.client.send("in an hour").id
        daemon.wait_for("sent", destination="other")  # the alarm
        for end in (daemon.stop, daemon.kill, None):
            lane = daemon.destination("d")
            assert (lane["condition"], lane["reason"]) == ("limited", reason)
            assert HOUR - 60 < lane["until_seconds"] <= HOUR
            assert attempts(daemon, id_) == [("deferred", reason)]
            assert daemon.client.request("wait", id=id_, seconds=0)["state"] == "queued"
            if end is not None:
                end()
                daemon.start()
        why, status = daemon.tocsin("why", id_).stdout, daemon.tocsin("status").stdout
        dry_run = daemon.tocsin("test", "x").stdout
    assert "attempt 1: deferred" in why
    assert reason in why
    assert "limited" in status
    assert reason in status
    assert "earliest  in 59m" in dry_run or "earliest  in 1h" in dry_run
    alarms, _ = split_alarms(arrived(two, two.webhooks[1]["id"]))
    assert [alarm.title for alarm in alarms] == ["No alerts reach d: shut out for 1h"]
    assert two.counts()["limited"] == {"user": 1}
    assert two.counts()["posts"] == 2  # and the alarm


def test_block_survives_restart_with_its_reason(tmp_path: Path, fake: FakeProcess) -> None:
    fake.script({"behaviour": "status", "status": 429, "html": True, "retry_after": HOUR})
    options = {"fallback": '["local-file"]', "patience": '{ urgent = "100ms" }'}
    config = discord("d", fake.webhooks[0]["url"], **options) + file() + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        first = daemon.client.send("before", priority="urgent").id
        assert all_delivered(daemon, [first])
        daemon.kill()
        daemon.start()
        second = daemon.client.send("after", priority="urgent").id
        assert all_delivered(daemon, [second])
        assert "d has been shut out since" in delivery(daemon, first)["reason"]
        assert "d has been shut out since" in delivery(daemon, second)["reason"]
