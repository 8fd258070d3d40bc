"""`tocsin test`: shows routes, payload, limits and time of a signal, and sends nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.shapes import LANE_VIEW, LIMITS, NUMBER, must_be
from tests.harness import DaemonProcess, FakeProcess, discord, file, route

LIMIT = {"name": str, "used": int, "most": int}
DESTINATION = {
    **LANE_VIEW,
    "fallback": list,
    "ahead": int,
    "earliest_seconds": (*NUMBER, type(None)),
    "held": (str, type(None)),
    "limits": LIMITS,
    "preview": {"payload": dict, "limits": [LIMIT], "notes": list},
}
TEST = {
    "ok": bool,
    "schema": int,
    "signal": dict,
    "priority": str,
    "routes": list,
    "destinations": list,
    "silenced": (str, type(None)),
}
PREMIUM = '[[routes]]\nwhen = { tier = "premium" }\nto = ["d", "local-file"]\n'


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon with a Discord destination limited to one message an hour, a file, and a Discord destination without webhook."""
    tables = [
        discord("d", fake.webhooks[0]["url"], limit='"1/h"', username='"The office"', mention='{ urgent = ["here"] }'),
        '[destinations.unset]\nkind = "discord"\nwebhook = { env = "NOT_SET" }\nfallback = ["local-file"]\n',
        file(),
        PREMIUM,
        route("local-file"),
    ]
    with DaemonProcess(tmp_path, "".join(tables)).start() as daemon:
        yield daemon


def dry_run(daemon: DaemonProcess, *arguments: str) -> dict[str, Any]:
    """The reply of `tocsin test --json`."""
    done = daemon.tocsin("test", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_dry_run_json_has_exact_shape(daemon: DaemonProcess) -> None:
    found = dry_run(daemon, "BUY BTCUSDT", "--tier", "premium", "--confidence", "0.93", "--price", "64000.5")
    must_be(TEST, found)
    for destination in found["destinations"]:
        must_be(DESTINATION, destination, destination["name"])
        assert all(limit["used"] <= limit["most"] for limit in destination["preview"]["limits"])
    assert (found["schema"], found["ok"], found["priority"]) == (1, True, "urgent")
    assert [each["name"] for each in found["destinations"]] == ["d", "local-file"]
    first = found["destinations"][0]
    assert (first["condition"], first["earliest_seconds"], first["ahead"]) == ("ready", 0, 0)
    assert ("ours", 1, 3600.0, 1) in {
        (window["name"], window["count"], window["per"], window["left"]) for window in first["limits"]["windows"]
    }
    assert first["preview"]["limits"]


def test_dry_run_lines_show_the_same_as_json(daemon: DaemonProcess) -> None:
    lines = daemon.tocsin("test", "BUY BTCUSDT", "--tier", "premium", "--confidence", "0.93").stdout.splitlines()
    assert lines[0] == "BUY BTCUSDT (urgent) would go to d, local-file"
    assert "d (discord) is ready" in lines
    assert "  earliest  now" in lines
    assert any(line.startswith("  limit     ours 1/1") for line in lines)
    assert sum(line.startswith("  size      ") for line in lines) == 1
    assert any(line.startswith("  | ") and "BUY BTCUSDT" in line for line in lines)
    assert not any("{" in line for line in lines)
    assert lines[-1] == "nothing was sent"


def test_dry_run_payload_equals_sent_payload(daemon: DaemonProcess, fake: FakeProcess) -> None:
    arguments = [
        "BUY",
        "--body",
        "*now*",
        "-p",
        "urgent",
        "--field",
        "rsi=33",
        "--timestamp",
        "1700000000",
        "--to",
        "d",
    ]
    shown = dry_run(daemon, *arguments)["destinations"][0]["preview"]["payload"]
    sent = daemon.tocsin("send", *arguments, "--wait", "20s")
    assert sent.returncode == 0, sent.stderr
    (message,) = fake.messages()
    posted = message["payload"]
    (planned,), (embed,) = shown.pop("embeds"), posted.pop("embeds")
    planned.pop("footer")  # the id in it is the signal's own
    assert {key: posted[key] for key in shown} == shown
    assert {key: embed[key] for key in planned} == planned
    assert shown["username"] == "The office"
    assert "@here" in shown["content"]


def test_dry_run_sends_stores_and_counts_nothing(daemon: DaemonProcess, fake: FakeProcess) -> None:
    before, asked = daemon.status()["counters"], fake.counts()["requests"]
    dry_run(daemon, "BUY", "--tier", "premium", "-p", "urgent")
    status = daemon.status()
    assert (status["counters"], status["queue"]["depth"]) == (before, 0)
    assert daemon.client.request("queue", limit=10)["deliveries"] == []
    assert fake.counts()["requests"] == asked
    assert not (daemon.state / "alerts.jsonl").exists()


def test_dry_run_shows_limiter_wait_and_queue_ahead(daemon: DaemonProcess) -> None:
    assert daemon.settled(daemon.client.send("one an hour", to="d").id) == ["delivered"]
    daemon.client.send("too soon", to="d")
    daemon.client.send("lower priority", to="d", priority="low")
    (found,) = dry_run(daemon, "next", "--to", "d")["destinations"]
    assert (found["condition"], found["ahead"]) == ("limited", 1)
    assert 3500 < found["earliest_seconds"] <= 3600
    assert 3500 < found["until_seconds"] <= 3600
    assert "the configured limit of 1 in 3600 s" in found["limits"]["waits_for"]["normal"]
    said = daemon.tocsin("test", "next", "--to", "d").stdout
    assert "after 1 queued" in said
    assert said.endswith("nothing was sent\n")


def test_dry_run_of_disabled_destination_names_fallback(daemon: DaemonProcess) -> None:
    (found,) = dry_run(daemon, "x", "--to", "unset")["destinations"]
    assert (found["condition"], found["reason"], found["earliest_seconds"], found["fallback"]) == (
        "disabled",
        "NOT_SET is not set",
        None,
        ["local-file"],
    )
    said = daemon.tocsin("test", "x", "--to", "unset").stdout
    assert "is disabled: NOT_SET is not set; it would go to local-file" in said
    assert "unknown: the destination sends nothing at present" in said


def test_dry_run_shows_what_the_fallback_of_a_disabled_destination_gets(daemon: DaemonProcess) -> None:
    (found,) = dry_run(daemon, "x", "--to", "unset")["destinations"]
    assert (found["instead"]["name"], found["instead"]["condition"]) == ("local-file", "ready")
    assert found["instead"]["preview"]["payload"]["lines"][0]["title"] == "x"
    said = daemon.tocsin("test", "x", "--to", "unset").stdout
    assert "in its place: local-file (file) is ready\n  earliest  now\n" in said


def test_dry_run_names_the_matching_routes(daemon: DaemonProcess) -> None:
    premium, other, named = (
        dry_run(daemon, "x", *options)["routes"] for options in (["--tier", "premium"], [], ["--to", "d"])
    )
    assert premium == [{"number": 1, "when": {"tier": ["premium"]}, "to": ["d", "local-file"]}]
    assert [each["number"] for each in other] == [2]
    assert named == []
    assert "  by route 1, which matches tier = premium\n" in daemon.tocsin("test", "x", "--tier", "premium").stdout
    assert "  by route 2, which matches everything\n" in daemon.tocsin("test", "x").stdout
    assert "by route" not in daemon.tocsin("test", "x", "--to", "d").stdout


def test_test_message_is_sent_marked_and_its_outcome_is_shown(daemon: DaemonProcess, fake: FakeProcess) -> None:
    host = os.uname().nodename
    done = daemon.tocsin("test", "--to", "d", "--send", "--key", "trade-1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("--key left out: a test is no state of a story\n")
    assert f"Test from {host}" in done.stdout.splitlines()[0]
    assert "attempt 1: delivered" in done.stdout
    assert fake.titles() == [f"Test from {host}"]


def test_test_message_of_a_disabled_destination_shows_the_fallback(daemon: DaemonProcess) -> None:
    done = daemon.tocsin("test", "hello", "--to", "unset", "--send", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["schema"], answer["ok"], answer["outcome"]) == (0, 1, True, "delivered")
    assert [each["destination"] for each in answer["why"]["deliveries"]] == ["unset", "local-file"]
    assert answer["why"]["signal"]["title"].endswith(": hello")


def test_test_message_that_waits_too_long_exits_with_3(daemon: DaemonProcess, fake: FakeProcess) -> None:
    fake.hold()
    done = daemon.tocsin("test", "--to", "d", "--send", "--wait", "200ms")
    fake.release()
    assert done.returncode == 3
    assert "attempt 1: in flight" in done.stdout


def test_dry_run_of_invalid_signal_names_field_and_exits_65(daemon: DaemonProcess) -> None:
    done = daemon.tocsin("test", "")
    assert (done.returncode, done.stdout) == (65, "")
    assert "title" in done.stderr
    done = daemon.tocsin("test", "x", "--to", "nowhere", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["schema"], answer["ok"]) == (65, 1, False)
    assert "nowhere" in answer["error"]["message"]


def test_dry_run_of_unrouted_signal_shows_it_as_dead(daemon: DaemonProcess) -> None:
    daemon.configure(file() + PREMIUM.replace('"d", ', ""))
    daemon.reload()
    daemon.wait_for("reloaded")
    assert dry_run(daemon, "stray")["destinations"] == []
    assert "the signal would be dead" in daemon.tocsin("test", "stray").stdout
