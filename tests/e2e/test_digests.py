"""A backlog that cannot be sent in time becomes digests: which signals, how `why` finds each, and that none is lost.

Windows are a twentieth of the real ones: 30 in 3 s for the channel, 5 in 0.1 s for the webhook. The fake holds its response to the
first message until the digests are made, so that the machine's speed does not decide what is sent one by one.
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
    "webhook-limit": '"5/100ms"',  # the limits of the fake, so scaled
    "digest": '{ normal = "2s", low = "2s" }',  # a small part of the backlog can be sent in 2 s
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
    """Everything goes there, or into a digest."""
    return discord("d", fake.webhooks[0]["url"], **OPTIONS) + route("d")


def backlog() -> dict[str, list[Signal]]:
    """More signals than can be sent in time, by priority; the high priorities come last."""
    return {
        priority: [
            Signal(f"{priority} {n}", priority=priority, symbol=SYMBOLS[n % len(SYMBOLS)], price=100.0 + n)
            for n in range(count)
        ]
        for priority, count in COUNTS.items()
    }


def hand_over(daemon: DaemonProcess, signals: list[Signal]) -> None:
    """Send in hundreds."""
    for start in range(0, len(signals), 100):
        daemon.client.send_many(signals[start : start + 100])


@contextmanager
def waiting(daemon: DaemonProcess, title: str) -> Iterator[subprocess.Popen[str]]:
    """Run `tocsin send --wait` of a LOW signal in the background; it is stored when the block begins."""
    accepted = sum(reply["event"]["event"] == "accepted" for reply in daemon.client.stream("tail"))
    command = [sys.executable, "-m", "tocsin", "send", title, "-p", "low", "--wait", "1m", "--json"]
    with subprocess.Popen(command, env=daemon.env, stdout=subprocess.PIPE, text=True) as sender:
        daemon.wait_for("accepted", nth=accepted + 1)
        yield sender


class Digest(NamedTuple):
    """A digest that arrived: its number of signals by title and by lines, and its message."""

    priority: str
    stands_for: int
    listed: int
    message: str


def digests(fake: FakeProcess) -> dict[str, Digest]:
    """All digests that arrived, by id."""
    found = {}
    for message in fake.messages():
        for embed, copy in zip(message["payload"]["embeds"], copies_in(message), strict=True):
            if match := TITLE.fullmatch(copy.title):
                lines = sum(number(field["value"].split(" x")[0]) for field in embed["fields"])
                found[copy.id] = Digest(match[2], number(match[1]), lines, message["message_id"])
    return found


def number(text: str) -> int:
    """Read a number in the format of digests."""
    return int(text.replace(",", ""))


def assert_each_arrives_once(
    story: Mapping[str, dict[str, Any]], found: Mapping[str, Digest], copies: Mapping[str, int]
) -> None:
    """Each signal of `story` (its delivery, by id) arrived alone or is counted by one digest, and not both."""
    in_sum = {id_: mine["digest"]["id"] for id_, mine in story.items() if mine["state"] == "digested"}
    assert {story[id_]["priority"] for id_ in in_sum} == {"normal", "low"}
    assert all(mine["state"] == ("digested" if id_ in in_sum else "sent") for id_, mine in story.items())
    assert all(copies[id_] == (id_ not in in_sum) for id_ in story)
    # the digests count exactly the signals that did not arrive alone
    assert Counter(in_sum.values()) == {id_: digest.stands_for for id_, digest in found.items()}
    assert all(digest.listed == digest.stands_for and copies[id_] == 1 for id_, digest in found.items())
    # each signal names its digest and the message of that digest
    assert all(story[id_]["message"] == found[digest].message for id_, digest in in_sum.items())
    assert all(story[id_]["priority"] == found[digest].priority for id_, digest in in_sum.items())


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
        story, arrived_digests = {id_: delivery(daemon, id_) for id_ in ids}, digests(fake)
        assert {id_: daemon.client.why(id_)["stands_for"] for id_ in arrived_digests} == {
            id_: digest.stands_for for id_, digest in arrived_digests.items()
        }
        assert (daemon.status()["queue"]["depth"], fake.counts()["limited"]) == (0, {})
        assert_each_arrives_once(story, arrived_digests, Counter(copy.id for copy in arrived(fake)))


@pytest.mark.slow
def test_send_wait_of_digested_signal_ends_when_digest_arrives(tmp_path: Path, fake: FakeProcess) -> None:
    with DaemonProcess(tmp_path, config(fake)).start() as daemon:
        hold_one(fake, daemon)
        with waiting(daemon, "the first of many") as sender:
            hand_over(daemon, backlog()["low"][:500])
            daemon.wait_for("digested", priority="low")
            assert sender.poll() is None  # it has not arrived yet
            fake.release()
            output, _ = sender.communicate(timeout=PATIENCE)
        assert sender.returncode == 0
        receipt = json.loads(output)
        why = daemon.tocsin("why", receipt["id"]).stdout
        listed = json.loads(daemon.tocsin("queue", "--state", "digested", "--json").stdout)["deliveries"]
        mine = delivery(daemon, receipt["id"])
    (digest,) = digests(fake)
    assert f"digested: replaced by digest {digest}, message {mine['message']}" in why
    assert f"that digest is delivered: `tocsin why {digest}`" in why
    assert listed[0]["id"] == receipt["id"]
    assert {row["state"] for row in listed} == {"digested"}
