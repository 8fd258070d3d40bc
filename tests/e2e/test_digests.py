"""More than can be told in time is told in sum: which alerts, where each can be found again, and that none is forgotten.

Windows are a twentieth of the real ones: 30 in 3 s for the channel, 5 in 0.1 s for the webhook. The far end holds back its answer to the
first message until the backlog was folded, so that the daemon, not the machine's speed, decides what is left to be told one by one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.e2e.assertions import all_delivered, arrived, copies_in, delivery, hold_one
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route

from tocsin.signals import Signal

SCALE = "0.05"
OPTIONS = {
    "channel-limit": '"30/3s"',
    "webhook-limit": '"5/100ms"',  # what the fake has, so scaled
    "digest": '{ normal = "2s", low = "2s" }',  # what 2 s take is a small part of all
    "deadline": '"1m"',
}
COUNTS = {"low": 2000, "normal": 1000, "high": 30, "urgent": 10}
TITLE = re.compile(r"([\d,]+) signals in one digest \((\w+)\)")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture
def fake() -> Iterator[FakeProcess]:
    """A fake Discord with scaled limits."""
    with FakeProcess("--limits", SCALE) as running:
        yield running


def config(fake: FakeProcess) -> str:
    """All goes there, or into a digest."""
    return discord("d", fake.webhooks[0]["url"], **OPTIONS) + route("d")


def backlog() -> dict[str, list[Signal]]:
    """What is too much, by priority; the pressing ones come last."""
    return {
        priority: [
            Signal(f"{priority} {n}", priority=priority, symbol=SYMBOLS[n % len(SYMBOLS)], price=100.0 + n)
            for n in range(count)
        ]
        for priority, count in COUNTS.items()
    }


def hand_over(daemon: DaemonProcess, signals: list[Signal]) -> None:
    """In hundreds."""
    for start in range(0, len(signals), 100):
        daemon.client.send_many(signals[start : start + 100])


@contextmanager
def waiting(daemon: DaemonProcess, title: str) -> Iterator[subprocess.Popen[str]]:
    """`tocsin send --wait` of a LOW one, in the background; it is stored when the block begins."""
    accepted = sum(reply["event"]["event"] == "accepted" for reply in daemon.client.stream("tail"))
    command = [sys.executable, "-m", "tocsin", "send", title, "-p", "low", "--wait", "1m", "--json"]
    with subprocess.Popen(command, env=daemon.env, stdout=subprocess.PIPE, text=True) as sender:
        daemon.wait_for("accepted", nth=accepted + 1)
        yield sender


class Digest(NamedTuple):
    """One that arrived: for how many it stands by its title, and by its lines; and the message it came in."""

    priority: str
    stands_for: int
    told: int
    message: str


def digests(fake: FakeProcess) -> dict[str, Digest]:
    """All that arrived, by the digest's id."""
    found = {}
    for message in fake.messages():
        for embed, copy in zip(message["payload"]["embeds"], copies_in(message), strict=True):
            if match := TITLE.fullmatch(copy.title):
                lines = sum(number(field["value"].split(" x")[0]) for field in embed["fields"])
                found[copy.id] = Digest(match[2], number(match[1]), lines, message["message_id"])
    return found


def number(text: str) -> int:
    """As digests write it."""
    return int(text.replace(",", ""))


def assert_each_is_told_once(
    story: Mapping[str, dict[str, Any]], told: Mapping[str, Digest], copies: Mapping[str, int]
) -> None:
    """Each signal of `story` (its delivery, by id) came one by one or is counted by one digest, and none both ways."""
    in_sum = {id_: mine["digest"]["id"] for id_, mine in story.items() if mine["state"] == "digested"}
    assert {story[id_]["priority"] for id_ in in_sum} == {"normal", "low"}
    assert all(mine["state"] == ("digested" if id_ in in_sum else "sent") for id_, mine in story.items())
    assert all(copies[id_] == (id_ not in in_sum) for id_ in story)
    # what is missing is what the digests count
    assert Counter(in_sum.values()) == {id_: digest.stands_for for id_, digest in told.items()}
    assert all(digest.told == digest.stands_for and copies[id_] == 1 for id_, digest in told.items())
    # and each original names its digest and the message in which that came
    assert all(story[id_]["message"] == told[digest].message for id_, digest in in_sum.items())
    assert all(story[id_]["priority"] == told[digest].priority for id_, digest in in_sum.items())


@pytest.mark.slow
def test_backlog_beyond_digest_budget_is_digested_despite_kill(tmp_path: Path, fake: FakeProcess) -> None:
    signals = backlog()
    ids = [signal.id for some in signals.values() for signal in some]
    with DaemonProcess(tmp_path, config(fake)).start() as daemon:
        plug = hold_one(fake, daemon)
        for some in signals.values():
            hand_over(daemon, some)
        for priority in ("normal", "low"):
            daemon.wait_for("digested", priority=priority)
        daemon.kill()
        fake.release()
        daemon.start()
        assert all_delivered(daemon, [plug, *ids])
        story, told = {id_: delivery(daemon, id_) for id_ in ids}, digests(fake)
        assert {id_: daemon.client.why(id_)["stands_for"] for id_ in told} == {
            id_: digest.stands_for for id_, digest in told.items()
        }
        assert (daemon.status()["queue"]["depth"], fake.counts()["limited"]) == (0, {})
        assert_each_is_told_once(story, told, Counter(copy.id for copy in arrived(fake)))


@pytest.mark.slow
def test_send_wait_of_digested_signal_ends_when_digest_arrives(tmp_path: Path, fake: FakeProcess) -> None:
    with DaemonProcess(tmp_path, config(fake)).start() as daemon:
        hold_one(fake, daemon)
        with waiting(daemon, "the first of many") as sender:
            hand_over(daemon, backlog()["low"][:500])
            daemon.wait_for("digested", priority="low")
            assert sender.poll() is None  # it has not arrived yet
            fake.release()
            told, _ = sender.communicate(timeout=PATIENCE)
        assert sender.returncode == 0
        receipt = json.loads(told)
        why = daemon.tocsin("why", receipt["id"]).stdout
        listed = json.loads(daemon.tocsin("queue", "--state", "digested", "--json").stdout)["deliveries"]
        mine = delivery(daemon, receipt["id"])
    (digest,) = digests(fake)
    assert f"digested: told in sum by digest {digest}, message {mine['message']}" in why
    assert f"that digest is delivered: `tocsin why {digest}`" in why
    assert listed[0]["id"] == receipt["id"]
    assert {row["state"] for row in listed} == {"digested"}
