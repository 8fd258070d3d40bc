"""The order in which a blocked lane sends when it opens: priority, then acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.e2e.assertions import Copy, all_delivered, arrived, hold_one, queue, until
from tests.e2e.producer import Producer
from tests.harness import DaemonProcess, FakeProcess, discord, route

from tocsin.signals import PRIORITIES, Signal

SHORT_RETRY = '{ first = "10ms", most = "20ms" }'
SHORT_BREAKER = '{ failures = 3, rest = "100ms", most = "100ms" }'  # longer than any wait of a retry, as by default


def produce(daemon: DaemonProcess, count: int) -> list[dict[str, Any]]:
    """Run four producers with `count` signals each; returns the stored signals of each."""
    with ExitStack() as stack:
        programs = [stack.enter_context(Producer(daemon, f"p{number}", count)) for number in range(4)]
        return [stored for program in programs for stored in program.finish()]


def assert_ordered(copies: Sequence[Copy], stored: Sequence[dict[str, Any]]) -> None:
    """URGENT, HIGH, NORMAL, LOW; and within each the order of each producer."""
    ranks = [PRIORITIES.index(copy.priority) for copy in copies]
    assert ranks == sorted(ranks)
    for name in {each["title"].split()[0] for each in stored}:
        for priority in PRIORITIES:
            mine = [copy.title for copy in copies if copy.priority == priority and copy.title.startswith(name)]
            assert mine == [s["title"] for s in stored if s["priority"] == priority and s["title"].startswith(name)]


def test_signals_of_four_programs_arrive_once_by_priority_and_acceptance(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], deadline='"1m"') + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        plug = hold_one(fake, daemon)
        stored = produce(daemon, 250)
        waiting = queue(daemon, state="queued")
        fake.control("POST", "release")
        assert all_delivered(daemon, [plug, *(each["id"] for each in stored)])
        copies = arrived(fake)
        counters = daemon.status()["counters"]
    assert len(stored) == len(waiting) == 1000
    assert copies[0].id == plug
    assert [copy.title for copy in copies[1:]] == [row["title"] for row in waiting]
    assert_ordered(copies[1:], stored)
    assert not any(copy.marked for copy in copies)
    assert (counters["notifications_queued"], counters["notifications_sent"]) == (1001, 1001)
    assert fake.counts()["posts"] == 1 + 1000 / 10  # each message is as full as possible, over all priorities


def test_order_is_kept_when_open_breaker_closes(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"], retry=SHORT_RETRY, breaker=SHORT_BREAKER) + route("d")
    fake.script({"behaviour": "status", "status": 503, "count": None})
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = produce(daemon, 40)
        daemon.wait_for("breaker-opened", destination="d")
        waiting = [row["title"] for row in queue(daemon)]
        fake.control("DELETE", "script")
        assert all_delivered(daemon, (each["id"] for each in stored))
    # a signal that was the probe too often goes back in the queue: it may be the reason of the failure
    probe, *copies = arrived(fake)
    assert [copy.title for copy in copies] == [title for title in waiting if title != probe.title]
    assert_ordered(copies, [each for each in stored if each["title"] != probe.title])


def test_order_is_kept_when_unreachable_destination_comes_up(tmp_path: Path, nowhere: str, fake: FakeProcess) -> None:
    config = discord("d", nowhere, retry=SHORT_RETRY, breaker=SHORT_BREAKER) + route("d")
    with DaemonProcess(tmp_path, config).start() as daemon:
        stored = produce(daemon, 40)
        daemon.wait_for("breaker-opened", destination="d")
        waiting = [row["title"] for row in queue(daemon)]
        daemon.configure(discord("d", fake.webhooks[0]["url"]) + route("d"))
        daemon.reload()
        assert all_delivered(daemon, (each["id"] for each in stored))
    copies = arrived(fake)
    assert [copy.title for copy in copies] == waiting
    assert_ordered(copies, stored)
    assert not any(copy.marked for copy in copies)  # a refused connection is unambiguous


def test_signal_in_backoff_goes_first_when_destination_recovers(tmp_path: Path, fake: FakeProcess) -> None:
    slow_retry = '{ first = "1h", most = "1h" }'
    quick_breaker = '{ failures = 1, rest = "100ms", most = "100ms" }'
    config = discord("d", fake.webhooks[0]["url"], retry=slow_retry, breaker=quick_breaker) + route("d")
    fake.script({"behaviour": "status", "status": 503})
    with DaemonProcess(tmp_path, config).start() as daemon:
        urgent = daemon.client.send("urgent", priority="urgent").id
        daemon.wait_for("breaker-opened", destination="d")
        fake.control("POST", "hold")
        low = daemon.client.send_many([Signal(f"low {number}", priority="low") for number in range(5)])
        until(fake, lambda counts: counts["held"] == 1)  # the probe
        fake.control("POST", "release")
        assert all_delivered(daemon, [urgent, *(receipt.id for receipt in low)])
    assert [copy.title for copy in arrived(fake)] == ["low 0", "urgent", *(f"low {number}" for number in range(1, 5))]
