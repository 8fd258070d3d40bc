"""The four kinds of 429: a healthy server asks for a wait, which is no failure; the scope depends on the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.assertions import all_delivered, arrived, attempts, split_alarms, written
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin.signals import Signal

SCOPES = ["user", "shared", "global", "cloudflare"]
NEVER = 3600.0  # seconds: longer than any test


def lanes(fake: FakeProcess) -> str:
    """Two Discord lanes and a file."""
    first, second = (hook["url"] for hook in fake.webhooks)
    return discord("d", first, deadline='"1m"') + discord("other", second) + file() + route("d")


@pytest.mark.parametrize("scope", SCOPES)
def test_429_loses_nothing_opens_no_breaker_and_keeps_order(tmp_path: Path, fake: FakeProcess, scope: str) -> None:
    config = discord("d", fake.webhooks[0]["url"], breaker='{ failures = 1, rest = "1h", most = "1h" }') + route("d")
    limit = {"behaviour": "rate_limited", "scope": scope, "retry_after": 0.3}
    fake.script(limit, {"behaviour": "normal"}, limit)
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = [daemon.client.send("signal 0").id]
        event = daemon.wait_for("rate-limited", destination="d")
        stored += [receipt.id for receipt in daemon.client.send_many([Signal(f"signal {n}") for n in range(1, 16)])]
        assert all_delivered(daemon, stored)
        status, lane = daemon.status(), daemon.destination("d")
        story = [attempts(daemon, id_) for id_ in stored]
    assert [copy.id for copy in arrived(fake)] == stored
    assert not any(copy.marked for copy in arrived(fake))
    assert 0.3 <= event["seconds"] <= 1  # Cloudflare sends whole seconds
    assert (status["counters"]["circuit_breaker_trips"], lane["trips"]) == (0, 0)
    # a shared limit shows that other programs post there, so the lane slows down for a while
    assert lane["condition"] == "ready" or scope == "shared"
    assert status["counters"]["rate_limited"] == 2
    assert fake.counts()["posts"] == fake.counts()["accepted"] + 2
    limited, passed = ("deferred", event["reason"]), ("delivered", None)
    assert story[0] == [limited, passed]
    assert [limited, passed] in story[1:]
    assert all(each in ([passed], [limited, passed]) for each in story)


@pytest.mark.parametrize("scope", SCOPES)
def test_429_limits_only_its_scope(tmp_path: Path, two: FakeProcess, scope: str) -> None:
    two.script({"behaviour": "rate_limited", "scope": scope, "retry_after": NEVER})
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        blocked = daemon.client.send("to d").id
        reason = daemon.wait_for("rate-limited", destination="d")["reason"]
        daemon.client.send("to other", to="other")
        both = daemon.client.send("to the file", to=["local-file", "other"]).id
        daemon.wait_for("sent", id=both, destination="local-file")
        if scope in {"user", "shared"}:
            daemon.wait_for("sent", id=both, destination="other")
        reached = [daemon.destination(name) for name in ("d", "other", "local-file")]
        assert daemon.client.request("wait", id=blocked, seconds=0)["state"] == "queued"
        alarm = daemon.wait_for("alarm-raised", about="d")
        daemon.wait_for("sent", id=alarm["id"])
        alarms, _ = split_alarms(written(daemon.state / "alerts.jsonl"))
    everywhere = scope in {"global", "cloudflare"}
    assert [lane["condition"] for lane in reached] == ["limited", "limited" if everywhere else "ready", "ready"]
    assert [lane["reason"] for lane in reached] == [reason, reason if everywhere else None, None]
    assert all(lane["until_seconds"] > NEVER / 2 for lane in reached if lane["condition"] == "limited")
    assert two.counts()["posts"] - two.counts()["accepted"] == 1
    here, there = (arrived(two, hook["id"]) for hook in two.webhooks)
    elsewhere = [copy.title for copy in (*alarms, *split_alarms(there)[0])]
    assert (here, elsewhere) == ([], ["No alerts reach d: shut out for 1h"])
    assert bool(there) is not everywhere


@pytest.mark.parametrize("scope", SCOPES)
def test_429_scope_survives_kill(tmp_path: Path, two: FakeProcess, scope: str) -> None:
    two.script({"behaviour": "rate_limited", "scope": scope, "retry_after": NEVER})
    with DaemonProcess(tmp_path, lanes(two)).start() as daemon:
        daemon.client.send("to d")
        daemon.wait_for("deferred", destination="d")
        daemon.wait_for("sent")  # the alarm, by another route
        daemon.status()  # reads the journal, so it follows the commits
        daemon.kill()
        daemon.start()
        daemon.client.send("to d", priority="urgent")
        after = daemon.client.send("to the other and the file", to=["local-file", "other"]).id
        daemon.wait_for("sent", id=after, destination="local-file")
        if scope in {"user", "shared"}:
            daemon.wait_for("sent", id=after, destination="other")
        conditions = [daemon.destination(name)["condition"] for name in ("d", "other", "local-file")]
    everywhere = scope in {"global", "cloudflare"}
    assert conditions == ["limited", "limited" if everywhere else "ready", "ready"]
    assert two.counts()["posts"] - two.counts()["accepted"] == 1
    assert not arrived(two, two.webhooks[0]["id"])
