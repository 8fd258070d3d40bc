"""`tocsin silence`, `silences` and `unsilence` against a real daemon, and the rights of members."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.test_members import as_member
from tests.harness import GROUP, DaemonProcess, file, public_folder, route

from tocsin import Client


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with public_folder() as folder, DaemonProcess(folder, file() + route("local-file")) as process:
        process.start()
        yield process


def read(daemon: DaemonProcess, *words: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = daemon.tocsin(*words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_silence_prints_its_id_and_is_listed_until_it_is_ended(daemon: DaemonProcess) -> None:
    made = daemon.tocsin("silence", "symbol=BTC", "--for", "2h", "tier=free", "--reason", "a=b")
    id_ = made.stdout.strip()
    assert (made.returncode, len(id_)) == (0, 26)
    assert "symbol=BTC tier=free is silenced until " in made.stderr
    (silence,) = read(daemon, "silences")["silences"]
    assert (silence["id"], silence["uid"], silence["reason"]) == (id_, os.getuid(), "a=b")
    assert silence["when"] == [["symbol", "BTC"], ["tier", "free"]]
    assert 7100 < silence["left_seconds"] <= 7200
    assert id_ in daemon.tocsin("silences").stdout
    assert "silent  1 silence" in daemon.tocsin("status").stdout
    assert read(daemon, "status")["silences"] == {"active": 1}
    assert read(daemon, "unsilence", id_)["id"] == id_
    assert read(daemon, "silences") == {"schema": 1, "ok": True, "silences": []}
    again = daemon.tocsin("unsilence", id_)
    assert (again.returncode, "is in force" in again.stderr) == (65, True)


def test_silenced_signal_exits_with_5_and_why_names_the_silence(daemon: DaemonProcess) -> None:
    id_ = read(daemon, "silence", "strategy=ma", "--for", "60")["id"]
    before = read(daemon, "status")["counters"]
    sent = daemon.tocsin("send", "BUY", "--strategy", "ma", "--wait", "20", "--json")
    receipt = json.loads(sent.stdout)
    assert (sent.returncode, receipt["state"], receipt["outcome"]) == (5, "stored", "silenced")
    assert id_ in receipt["reason"]
    assert f"silenced: silence {id_}" in daemon.tocsin("why", receipt["id"]).stdout
    assert receipt["id"] in daemon.tocsin("queue", "--state", "silenced").stdout
    after = read(daemon, "status")["counters"]
    assert after["signals_silenced"] - before["signals_silenced"] == 1
    assert after["notifications_queued"] == before["notifications_queued"]
    assert "tocsin_silences 1.0" in daemon.tocsin("status", "--prometheus").stdout
    assert "stored and not sent" in daemon.tocsin("test", "BUY", "--strategy", "ma").stdout
    assert daemon.tocsin("send", "SELL", "--strategy", "other", "--wait", "20").returncode == 0
    ended = daemon.tocsin("unsilence", id_.lower())
    assert ended.stdout.startswith("strategy=ma is no longer silenced; 1 signal in ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["symbol=BTC"], "--for DURATION is required"),
        (["--for", "2h"], "KEY=VALUE is required"),
        (["colour=red", "--for", "2h"], "unknown key 'colour'; known here: tier, priority"),
        (["symbol", "--for", "2h"], "must be KEY=VALUE"),
        (["symbol=", "--for", "2h"], "must be KEY=VALUE"),
        (["symbol=BTC", "--for", "0"], "longer than no time"),
        (["symbol=BTC", "--for", "soon"], "is not a duration"),
        (["symbol=BTC", "--for"], "--for requires a value"),
    ],
)
def test_silence_with_unusable_words_is_a_usage_error(daemon: DaemonProcess, words: list[str], says: str) -> None:
    done = daemon.tocsin("silence", *words)
    assert (done.returncode, says in done.stderr) == (64, True), done.stderr


def test_socket_refuses_a_silence_without_keys(daemon: DaemonProcess) -> None:
    done = daemon.tocsin("silence", "symbol=A", "symbol=B", "--for", "2h")
    assert (done.returncode, "two values for symbol" in done.stderr) == (65, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_member_silences_signals_of_others_and_ends_any_silence(daemon: DaemonProcess) -> None:
    os.chown(daemon.socket, 0, GROUP)
    made = as_member(daemon, lambda client: client.request("silence", when=[["key", "k"]], seconds=60)["silence"])
    (listed,) = daemon.client.request("silences")["silences"]
    assert listed["uid"] == made["uid"] != 0
    assert daemon.settled(daemon.client.send("root's", key="k").id) == ["silenced"]
    roots = read(daemon, "silence", "key=other", "--for", "60")["id"]
    for id_ in (made["id"], roots):
        assert as_member(daemon, partial(Client.request, op="unsilence", id=id_))["silence"]["id"] == id_
        assert daemon.wait_for("silence-ended", id=id_)["uid"] == made["uid"]
    report = daemon.wait_for("silence-reported", silence=made["id"])
    body = daemon.client.why(report["id"])["signal"]["body"]
    assert f"by uid {made['uid']}" in body
    assert f"ended early by uid {made['uid']}" in body


def test_report_of_the_end_goes_by_the_routes(daemon: DaemonProcess) -> None:
    id_ = read(daemon, "silence", "key=report", "--for", "2h", "--reason", "deploy")["id"]
    daemon.client.send("BUY", key="report", priority="urgent")
    daemon.tocsin("unsilence", id_)
    report = daemon.wait_for("silence-reported", silence=id_)
    assert daemon.settled(report["id"]) == ["delivered"]
    lines = Path(daemon.state / "alerts.jsonl").read_text().splitlines()
    (written,) = [each for each in map(json.loads, lines) if each["id"] == report["id"]]
    assert (written["title"], written["priority"]) == ("Silence over: 1 signal silenced", "normal")
    assert f"key=report, by uid {os.getuid()}, for" in written["body"]
    assert f"ended early by uid {os.getuid()}.\nReason: deploy\nThe highest priority was urgent." in written["body"]
