"""Quiet hours, delays and `tocsin ack` against a real daemon, and the rights of members."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.contracts.test_members import as_member
from tests.harness import GROUP, DaemonProcess, file, public_folder, route

QUIET = '[[quiet]]\nwhen = { priority = "low" }\nfrom = "00:00"\nuntil = "24:00"\n'
LATER = '[[routes]]\nwhen = { tier = "free" }\nto = ["local-file"]\ndelay = "1h"\n'
REPEATED = file().replace('kind = "file"', 'kind = "file"\nrepeat = { urgent = "1h" }')


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with public_folder() as folder, DaemonProcess(folder, REPEATED + LATER + route("local-file") + QUIET) as process:
        process.start()
        os.chown(process.socket, 0, GROUP) if os.geteuid() == 0 else None
        yield process


def read(daemon: DaemonProcess, *words: str, code: int = 0) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = daemon.tocsin(*words, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sent(daemon: DaemonProcess, title: str = "FIRE", **fields: Any) -> str:
    """The id of an urgent signal that was delivered."""
    id_: str = daemon.client.send(title, priority="urgent", **fields).id
    assert daemon.settled(id_) == ["delivered"]
    return id_


def test_held_signals_are_shown_with_the_reason_and_the_end(daemon: DaemonProcess) -> None:
    quiet, later = daemon.client.send("q", priority="low").id, daemon.client.send("d", tier="free").id
    held = {each["by"]: each for each in read(daemon, "status")["held"]}
    assert 0 < held["delay"]["until_seconds"] <= 3600
    assert (held["quiet"]["destination"], held["quiet"]["deliveries"]) == ("local-file", 1)
    assert (held["quiet"]["reason"], held["quiet"]["until_seconds"]) == ("held without an end by quiet hours", None)
    status = daemon.tocsin("status").stdout
    assert "held    1 for local-file without an end by quiet hours\n" in status
    assert "held    1 for local-file for 1h by the delay of its route, the first in" in status
    for id_, reason in ((quiet, "by quiet hours"), (later, "held for 1h by the delay of its route")):
        (delivery,) = read(daemon, "why", id_)["deliveries"]
        assert (delivery["state"], delivery["reason"].endswith(reason)) == ("held", True)
        assert delivery["held_until"] is None if id_ == quiet else delivery["held_until"] > delivery["since"]
        head, end = daemon.tocsin("why", id_).stdout.split("\n\n")
        assert reason in head
        assert "queued" not in head
        assert reason in end
    assert {each["id"] for each in read(daemon, "queue", "--state", "held")["deliveries"]} == {quiet, later}
    assert daemon.tocsin("send", "waits", "-p", "low", "--wait", "0.1s").returncode == 3
    assert read(daemon, "status")["destinations"][0]["held"] == 3
    assert "tocsin_held_deliveries" in daemon.tocsin("status", "--prometheus").stdout


def test_dry_run_says_that_a_signal_would_be_held(daemon: DaemonProcess) -> None:
    (found,) = read(daemon, "test", "d", "--tier", "free")["destinations"]
    assert found["held"] == "held for 1h by the delay of its route"
    assert 3590 < found["earliest_seconds"] <= 3600
    assert read(daemon, "test", "d", "--tier", "free", "--to", "local-file")["destinations"][0]["held"] is None
    assert "by quiet hours" in daemon.tocsin("test", "q", "-p", "low").stdout


def test_ack_by_id_and_by_the_end_of_it(daemon: DaemonProcess) -> None:
    first, second = sent(daemon), sent(daemon)
    found = read(daemon, "ack", first)
    assert found == {"schema": 1, "ok": True, "id": first, "key": None, "stopped": 1}
    assert daemon.tocsin("ack", second[-8:].lower()).stdout == f"acknowledged {second}: ended 1 repetition\n"
    assert read(daemon, "ack", first)["stopped"] == 0
    story = read(daemon, "why", first)
    assert story["acknowledged"]["uid"] == os.getuid()
    assert "repeat_at" not in story["deliveries"][0]
    assert f"acknowledged by uid {os.getuid()}" in daemon.tocsin("why", first).stdout


def test_ack_by_key_covers_its_story(daemon: DaemonProcess) -> None:
    sent(daemon, key="disk")
    assert daemon.tocsin("ack", "disk").stdout == "acknowledged the story of disk: ended 1 repetition\n"
    later = sent(daemon, key="disk")
    assert "repeat_at" not in read(daemon, "why", later)["deliveries"][0]


def test_ack_of_something_unknown_is_65(daemon: DaemonProcess) -> None:
    found = read(daemon, "ack", "nothing", code=65)
    assert (found["ok"], found["error"]["kind"]) == (False, "not-found")
    assert daemon.tocsin("ack", "01J9Z3NDEKTSV4RRFFQ69G5FAV").returncode == 65
    assert daemon.tocsin("ack").returncode == 64


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_member_may_acknowledge_the_signal_of_another(daemon: DaemonProcess) -> None:
    id_ = sent(daemon)
    assert as_member(daemon, lambda client: client.acknowledge(id_)["stopped"]) == 1
    assert read(daemon, "why", id_)["acknowledged"]["uid"] != 0
    assert daemon.wait_for("acknowledged-by", id=id_)["uid"] != 0
