"""The replies to `status`, `why`, `queue`, `retry`, `drop`, `enable`, `tail` and `wait` over the socket.

Shapes are compared exactly: scripts and monitors read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.shapes import LANE_VIEW, LIMITS, NUMBER, PRIORITIES, must_be
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

from tocsin import RequestFailed
from tocsin.ids import new_id

STATUS = {
    "schema": int,
    "ok": bool,
    "version": str,
    "pid": int,
    "uptime_seconds": float,
    "health": str,
    "configuration": str,
    "problems": list,
    "counters": dict,
    "accepted": PRIORITIES,
    "queue": {"depth": int, "oldest_seconds": (*NUMBER, type(None)), "by_priority": PRIORITIES, "undelivered": int},
    "destinations": list,
    "held": list,
    "spool": {"path": str, "files": int, "quarantined": int, "reason": (str, type(None))},
    "storage": {
        "healthy": bool,
        "bytes": int,
        "free_bytes": int,
        "reserve_bytes": int,
        "attachments": {"files": int, "bytes": int, "most_bytes": int},
    },
    "http": type(None),
    "heartbeat": type(None),
    "silences": {"active": int},
    "expectations": {"expected": int, "late": list},
    "damage": {"folders": list},
    "log": {"dropped_lines": int},
    "socket": {"path": str, "reason": (str, type(None))},
}
DESTINATION = {
    **LANE_VIEW,
    "wanted": bool,
    "queued": PRIORITIES,
    "oldest_seconds": (*NUMBER, type(None)),
    "oldest_by_priority": dict.fromkeys(PRIORITIES, (*NUMBER, type(None))),
    "sent": int,
    "failed": int,
    "dead": int,
    "expired": int,
    "held": int,
    "superseded": int,
    "rerouted": int,
    "unreported": int,
    "trips": int,
    "in_doubt": int,
    "last_success_seconds": (*NUMBER, type(None)),
    "last_error": (str, type(None)),
    "note": (str, type(None)),
    "counters": dict,
    "arrivals": {"count": int, "seconds": NUMBER, "le": dict},
    "limits": LIMITS,
    "fallback": list,
    "fallback_in_seconds": dict.fromkeys(PRIORITIES, (*NUMBER, type(None))),
}
COUNTERS = {
    "notifications_queued",
    "notifications_sent",
    "notifications_failed",
    "circuit_breaker_trips",
    "queue_depth",
}
WHY = {
    "schema": int,
    "id": str,
    "signal": dict,
    "accepted": float,
    "uid": int,
    "pid": int,
    "state": str,
    "deliveries": list,
}
DELIVERY = {
    "destination": str,
    "priority": str,
    "state": str,
    "reason": (str, type(None)),
    "since": float,
    "message": (str, type(None)),
    "possible_duplicate": bool,
    "attempts": list,
}
ATTEMPT = {"number": int, "started": float, "ended": float, "outcome": str, "reason": (str, type(None))}
ROW = {
    "id": str,
    "title": str,
    "destination": str,
    "priority": str,
    "state": str,
    "reason": (str, type(None)),
    "since": float,
    "accepted": float,
    "attempts": int,
}


@pytest.fixture(scope="module")
def discord_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, discord_: FakeProcess) -> Iterator[DaemonProcess]:
    """One daemon for all tests; each test has its own destination or title."""
    patient = {"retry": '{ first = "1h", most = "1h", give-up = "1d" }'}
    tables = [
        discord("d", discord_.webhooks[0]["url"]),
        discord("slow", discord_.control("POST", "webhooks")["url"], breaker="{ failures = 1000 }", **patient),
        discord("tripping", discord_.control("POST", "webhooks")["url"], breaker="{ failures = 1 }", **patient),
        discord("gone", discord_.control("POST", "webhooks")["url"], fallback='["local-file"]'),
        discord("limited", discord_.control("POST", "webhooks")["url"], limit='"1/h"'),
        file(),
        route("local-file"),
    ]
    with DaemonProcess(tmp_path_factory.mktemp("seeing"), "".join(tables)).start() as daemon:
        yield daemon


@pytest.fixture
def daemon(running: DaemonProcess, discord_: FakeProcess) -> Iterator[DaemonProcess]:
    discord_.control("DELETE", "script")
    yield running
    assert running.process.poll() is None, running.log.read_text()[-2000:]


def webhook(fake: FakeProcess, number: int) -> str:
    found: str = fake.control("GET", "webhooks")[number]["id"]
    return found


def counters(daemon: DaemonProcess) -> dict[str, int]:
    found: dict[str, int] = daemon.status()["counters"]
    return found


def moved(daemon: DaemonProcess, before: dict[str, int]) -> dict[str, int]:
    """The counters that changed since `before`."""
    return {
        name: n - before[name] for name, n in counters(daemon).items() if n != before[name] and name != "queue_depth"
    }


def dead(daemon: DaemonProcess, fake: FakeProcess, title: str, **fields: Any) -> str:
    """The id of a signal that Discord refused for good. One is delivered before it: three refusals in a row would disable the webhook."""
    assert daemon.settled(daemon.client.send("between", to=["d"]).id) == ["delivered"]
    invalid = {"behaviour": "status", "status": 400, "code": 50035, "message": "Invalid Form Body"}
    fake.script({**invalid, "count": 2})  # as it is, and in plain format
    id_ = daemon.client.send(title, to=["d"], **fields).id
    assert daemon.settled(id_) == ["dead"]
    return id_


# --- status ------------------------------------------------------------------------------------------------------------


def test_status_has_exactly_the_documented_shape(daemon: DaemonProcess) -> None:
    status = daemon.status()
    must_be(STATUS, status)
    for destination in status["destinations"]:
        must_be(DESTINATION, destination, destination["name"])
        assert destination["condition"] in {"ready", "limited", "failing", "probing", "disabled"}
    assert set(status["counters"]) >= COUNTERS
    assert all(type(count) is int for count in status["counters"].values())
    assert (status["schema"], status["ok"], status["pid"]) == (1, True, daemon.process.pid)
    assert status["storage"]["bytes"] > 0
    assert status["storage"]["free_bytes"] > 0
    assert json.loads(json.dumps(status, allow_nan=False)) == status


def test_delivered_signal_increments_named_counters(daemon: DaemonProcess) -> None:
    before = counters(daemon)
    id_ = daemon.client.send("counted", to=["d", "local-file"]).id
    daemon.settled(id_)
    assert moved(daemon, before) == {"signals_accepted": 1, "notifications_queued": 2, "notifications_sent": 2}
    assert daemon.client.send("counted", id=id_).state == "duplicate"
    assert moved(daemon, before)["signals_duplicate"] == 1
    assert daemon.destination("d")["last_success_seconds"] >= 0


def test_refused_delivery_degrades_health_until_it_is_dropped(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    before = counters(daemon)
    id_ = dead(daemon, discord_, "refused")
    assert moved(daemon, before)["notifications_failed"] == 1
    status = daemon.status()
    assert status["health"] == "degraded"
    assert any("1 dead" in problem for problem in status["problems"])
    assert daemon.destination("d")["dead"] == 1
    assert "400" in daemon.destination("d")["last_error"]
    assert daemon.client.request("drop", id=id_)["deliveries"] == 1
    assert daemon.destination("d")["dead"] == 0
    assert moved(daemon, before)["deliveries_dropped"] == 1


def test_open_breaker_is_counted_with_reason_and_degrades_health(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    before = counters(daemon)
    discord_.script({"behaviour": "status", "status": 503, "webhook": webhook(discord_, 2)})
    id_ = daemon.client.send("trips", to=["tripping"]).id
    daemon.wait_for("breaker-opened", destination="tripping")
    assert moved(daemon, before)["circuit_breaker_trips"] == 1
    tripping = daemon.destination("tripping")
    assert (tripping["condition"], tripping["trips"]) == ("failing", 1)
    assert tripping["reason"] == "503 from Discord"
    assert 0 < tripping["until_seconds"] <= 10
    status = daemon.status()
    assert status["health"] == "degraded"
    assert "tripping is failing: 503 from Discord" in status["problems"]
    daemon.client.request("drop", id=id_)
    daemon.client.request("enable", destination="tripping")
    assert daemon.destination("tripping")["condition"] == "ready"


def test_queued_deliveries_are_counted_by_priority_and_destination(
    daemon: DaemonProcess, discord_: FakeProcess
) -> None:
    depth = daemon.status()["queue"]["depth"]
    discord_.script({"behaviour": "status", "status": 503, "webhook": webhook(discord_, 1), "count": 2})
    ids = [daemon.client.send("waits", to=["slow"], priority=priority).id for priority in ("urgent", "low")]
    for id_ in ids:
        daemon.wait_for("deferred", id=id_)
    status = daemon.status()
    assert status["queue"]["depth"] == status["counters"]["queue_depth"] == depth + 2
    assert status["queue"]["oldest_seconds"] >= 0
    assert daemon.destination("slow")["queued"] == {"urgent": 1, "high": 0, "normal": 0, "low": 1}
    for id_ in ids:
        daemon.client.request("drop", id=id_)
    assert daemon.status()["queue"]["depth"] == depth


def test_configured_limit_shows_condition_limited_and_is_no_problem(daemon: DaemonProcess) -> None:
    first = daemon.client.send("one an hour", to=["limited"]).id
    assert daemon.settled(first) == ["delivered"]
    second = daemon.client.send("too soon", to=["limited"]).id
    limited = daemon.destination("limited")
    assert limited["condition"] == "limited"
    assert limited["reason"]
    assert 0 < limited["until_seconds"] <= 3600
    (own,) = [window for window in limited["limits"]["windows"] if window["name"] == "ours"]
    assert (own["count"], own["per"], own["left"]) == (1, 3600.0, 0)
    assert set(limited["limits"]["waits_for"].values()) == {"the configured limit of 1 in 3600 s"}
    assert all(0 < seconds <= 3600 for seconds in limited["limits"]["ready_seconds"].values())
    assert not any("limited" in problem for problem in daemon.status()["problems"])
    daemon.client.request("drop", id=second)


# --- why ---------------------------------------------------------------------------------------------------------------


def test_why_lists_attempts_with_time_outcome_and_reason(tmp_path: Path, discord_: FakeProcess) -> None:
    hook = discord_.control("POST", "webhooks")
    config = discord("d", hook["url"], retry='{ first = "10ms", most = "10ms" }') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        discord_.script(
            {"behaviour": "status", "status": 503, "webhook": hook["id"]},
            {"behaviour": "drop", "saved": True, "webhook": hook["id"]},
        )
        id_ = daemon.client.send("three tries", price=1.5).id
        assert daemon.settled(id_) == ["delivered"]
        why = daemon.client.why(id_)
    must_be(WHY, why)
    (delivery,) = why["deliveries"]
    must_be(DELIVERY, delivery)
    for attempt in delivery["attempts"]:
        must_be(ATTEMPT, attempt)
        assert why["accepted"] <= attempt["started"] <= attempt["ended"]
    assert [attempt["number"] for attempt in delivery["attempts"]] == [1, 2, 3]
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["deferred", "unknown", "delivered"]
    assert delivery["attempts"][0]["reason"] == "503 from Discord: it may have arrived"
    assert delivery["possible_duplicate"] is True
    assert delivery["message"] == [message["message_id"] for message in discord_.messages()][-1]
    assert why["signal"]["price"] == 1.5


def test_why_shows_rerouted_delivery_with_reason(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    discord_.control("POST", "delete", {"webhook": webhook(discord_, 3)})
    id_ = daemon.client.send("to a deleted webhook", to=["gone"]).id
    assert daemon.settled(id_) == ["delivered"]
    away, here = daemon.client.why(id_)["deliveries"]
    assert (away["destination"], away["state"]) == ("gone", "rerouted")
    assert away["reason"].startswith("to local-file: 404 from Discord")
    assert (here["destination"], here["state"]) == ("local-file", "sent")
    gone = daemon.destination("gone")
    assert gone["condition"] == "disabled"
    assert gone["reason"].startswith("404 from Discord")
    assert any("tocsin enable gone" in problem for problem in daemon.status()["problems"])


def test_enable_ends_condition_disabled(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    discord_.script({"behaviour": "status", "status": 401, "webhook": webhook(discord_, 0)})
    id_ = daemon.client.send("unauthorised", to=["d"]).id
    daemon.wait_for("disabled", destination="d")
    assert daemon.client.request("wait", id=id_, seconds=0)["state"] == "queued", "it has no fallback, so it stays"
    assert daemon.client.request("enable", destination="d")["destination"] == "d"
    assert daemon.settled(id_) == ["delivered"]
    assert daemon.destination("d")["condition"] == "ready"


# --- queue, retry, drop --------------------------------------------------------------------------------------------------


def test_queue_filters_by_state_and_destination_and_reports_more(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    ids = [dead(daemon, discord_, f"row {n}") for n in range(3)]
    daemon.settled(daemon.client.send("elsewhere").id)

    def listed(**filters: Any) -> tuple[list[str], bool]:
        answer = daemon.client.request("queue", **filters)
        for row in answer["deliveries"]:
            must_be(ROW, row)
        return [row["id"] for row in answer["deliveries"]], answer["more"]

    assert listed(state="dead", destination="d") == (ids, False)
    assert listed(state="dead", destination="d", limit=2) == (ids[:2], True)
    assert listed(state="dead", destination="d", limit=3) == (ids, False)
    assert listed(state="dead", destination="d", limit=0) == ([], True)
    assert listed(state="dead", destination="local-file") == ([], False)
    assert listed(state="sending") == ([], False)
    assert set(ids) <= set(listed()[0])
    assert listed(limit=2**63)[1] is False
    assert listed(limit=-5)[0] == []
    for id_ in ids:
        daemon.client.request("drop", id=id_)


def test_queue_lists_highest_priority_first(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    ids = {priority: dead(daemon, discord_, priority, priority=priority) for priority in ("low", "urgent", "normal")}
    rows = daemon.client.request("queue", state="dead")["deliveries"]
    assert [row["id"] for row in rows] == [ids["urgent"], ids["normal"], ids["low"]]
    for id_ in ids.values():
        daemon.client.request("drop", id=id_)


def test_retry_requeues_dead_signal_by_id(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    id_ = dead(daemon, discord_, "second chance")
    assert daemon.client.request("retry", id=id_)["deliveries"] == 1
    assert daemon.settled(id_) == ["delivered"]
    assert daemon.client.request("retry", id=id_)["deliveries"] == 0
    assert [attempt["outcome"] for attempt in daemon.client.why(id_)["deliveries"][0]["attempts"]] == [
        "deferred",
        "refused",
        "delivered",
    ]


def test_retry_requeues_all_dead_or_those_of_one_destination(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    ids = [dead(daemon, discord_, f"dead {n}") for n in range(3)]
    assert daemon.client.request("retry", all=True, destination="local-file")["deliveries"] == 0
    assert daemon.client.request("retry", all=True, destination="d")["deliveries"] == 3
    assert daemon.settled(*ids) == ["delivered"] * 3
    ids = [dead(daemon, discord_, f"dead again {n}") for n in range(2)]
    assert daemon.client.request("retry", all=True)["deliveries"] == 2
    assert daemon.settled(*ids) == ["delivered"] * 2


def test_dropped_signal_is_never_sent(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    discord_.script({"behaviour": "status", "status": 503, "webhook": webhook(discord_, 1)})
    id_ = daemon.client.send("never mind", to=["slow"]).id
    daemon.wait_for("deferred", id=id_)
    assert daemon.client.request("drop", id=id_)["deliveries"] == 1
    assert daemon.settled(id_) == ["dropped"]
    (delivery,) = daemon.client.why(id_)["deliveries"]
    assert (delivery["state"], delivery["reason"]) == ("dropped", "dropped by hand")
    assert daemon.client.request("drop", id=id_)["deliveries"] == 0


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("why", {"id": new_id()}),
        ("why", {"id": ""}),
        ("drop", {"id": new_id()}),
        ("retry", {"id": new_id()}),
        ("wait", {"id": new_id(), "seconds": 1.0}),
        ("enable", {"destination": "nowhere"}),
        ("retry", {"all": True, "destination": "nowhere"}),
        ("queue", {"destination": "nowhere"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_unknown_id_is_not_found(daemon: DaemonProcess, op: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestFailed) as caught:
        daemon.client.request(op, **fields)
    assert caught.value.kind == "not-found"


def test_unknown_destination_error_lists_known_ones(daemon: DaemonProcess) -> None:
    with pytest.raises(RequestFailed, match="'nowhere'; there are d, slow, tripping, gone, limited, local-file"):
        daemon.client.request("enable", destination="nowhere")


# --- wait, tail ------------------------------------------------------------------------------------------------------------


def test_wait_ends_with_summary_or_timeout(daemon: DaemonProcess, discord_: FakeProcess) -> None:
    discord_.script({"behaviour": "status", "status": 503, "webhook": webhook(discord_, 1)})
    id_ = daemon.client.send("waited for", to=["slow"]).id
    daemon.wait_for("deferred", id=id_)
    assert daemon.client.request("wait", id=id_, seconds=0.05)["state"] == "queued"
    daemon.client.request("drop", id=id_)
    assert daemon.client.request("wait", id=id_, seconds=60.0)["state"] == "dropped"


def test_tail_without_follow_prints_recent_events_and_ends(daemon: DaemonProcess) -> None:
    id_ = daemon.client.send("tailed").id
    daemon.settled(id_)
    facts = [reply["event"] for reply in daemon.client.stream("tail", idle=20)]
    assert "started" in [fact["event"] for fact in facts]
    assert [fact["event"] for fact in facts if fact.get("id") == id_] == ["accepted", "sent"]
    assert all({"event", "at", "level"} <= set(fact) for fact in facts)
    assert [fact["at"] for fact in facts] == sorted(fact["at"] for fact in facts)


def test_tail_with_follow_prints_new_events(daemon: DaemonProcess) -> None:
    with closing(daemon.client.stream("tail", idle=20, follow=True)) as replies:
        next(replies)  # the tail follows from here on
        id_ = daemon.client.send("followed").id
        facts = (reply["event"] for reply in replies)
        mine = (fact["event"] for fact in facts if fact.get("id") == id_)
        assert (next(mine), next(mine)) == ("accepted", "sent")


# --- health ------------------------------------------------------------------------------------------------------------


def test_health_is_failing_without_working_destination(tmp_path: Path, discord_: FakeProcess) -> None:
    hook = discord_.control("POST", "webhooks")
    with DaemonProcess(tmp_path, discord("only", hook["url"]) + route("only")).start() as daemon:
        assert daemon.status()["health"] == "ok"
        discord_.control("POST", "delete", {"webhook": hook["id"]})
        daemon.client.send("unreachable")
        daemon.wait_for("disabled", destination="only")
        assert daemon.status()["health"] == "failing"
        assert daemon.client.send("taken all the same").state == "stored"


def test_unrouted_signal_is_dead_reported_and_requeued_by_retry(tmp_path: Path) -> None:
    picky = '[[routes]]\nwhen = { tier = "premium" }\nto = ["local-file"]\n'
    with DaemonProcess(tmp_path, file() + picky).start() as daemon:
        receipt = daemon.client.send("stray")
        assert (receipt.state, receipt.reason) == ("stored", "no route of the configuration takes this signal")
        assert daemon.settled(receipt.id) == ["dead"]
        assert daemon.status()["health"] == "degraded"
        assert daemon.status()["counters"]["signals_unrouted"] == 1
        (row,) = daemon.client.request("queue", destination="unrouted")["deliveries"]
        assert row["id"] == receipt.id
        daemon.configure(file() + route("local-file"))
        daemon.reload()
        daemon.wait_for("reloaded")
        assert daemon.client.request("retry", id=receipt.id)["deliveries"] == 1
        assert daemon.settled(receipt.id) == ["delivered"]
        assert daemon.status()["health"] == "ok"


def test_expired_signal_is_never_sent_and_is_counted_and_listed(tmp_path: Path, discord_: FakeProcess) -> None:
    hook = discord_.control("POST", "webhooks")
    with DaemonProcess(tmp_path, discord("d", hook["url"], limit='"1/h"') + route("d")).start() as daemon:
        assert daemon.settled(daemon.client.send("first").id) == ["delivered"]
        late = daemon.client.send("late", expires=0.1).id
        assert daemon.settled(late) == ["dropped"]
        assert daemon.status()["counters"]["deliveries_expired"] == 1
        (row,) = daemon.client.request("queue", state="expired")["deliveries"]
        assert (row["id"], row["attempts"]) == (late, 0)
        (delivery,) = daemon.client.why(late)["deliveries"]
        assert (delivery["state"], delivery["reason"]) == ("expired", "its time passed before it could be sent")
    assert "late" not in discord_.titles()
