"""The cost of 100,000 queued signals while the destination is down: memory, time of `send`, time of a start."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from tests.e2e.assertions import arrived, queue, until
from tests.harness import DaemonProcess, FakeProcess, discord, route
from tests.harness import until as eventually

from tocsin.signals import PRIORITIES, Signal

MANY = 100_000
HUNDRED = 100
PROBES = 300  # hand-offs for a median
MEBIBYTE = 2**20
STARTS = 3

BODY = "fast MA crossed slow MA on the four-hour chart"
DOWN = {"retry": '{ first = "1h", most = "1h" }', "breaker": '{ failures = 3, rest = "1h", most = "1h" }'}
UP = {"retry": '{ first = "1h", most = "1h" }', "breaker": '{ failures = 3, rest = "100ms", most = "100ms" }'}


def signals(count: int, priorities: tuple[str, ...] = PRIORITIES) -> Iterator[list[Signal]]:
    """Make `count` signals, in hundreds."""
    for start in range(0, count, HUNDRED):
        yield [
            Signal(
                f"BUY BTCUSDT {number}",
                body=BODY,
                priority=priorities[number % len(priorities)],
                strategy="ma_unified",
                price=64000.5,
            )
            for number in range(start, start + HUNDRED)
        ]


def store(daemon: DaemonProcess, count: int, priorities: tuple[str, ...] = PRIORITIES) -> None:
    """Send `count` signals."""
    for hundred in signals(count, priorities):
        assert {receipt.state for receipt in daemon.client.send_many(hundred)} == {"stored"}


def memory(daemon: DaemonProcess) -> int:
    """The process's anonymous memory (RssAnon), in bytes: the kernel can take back pages of files."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(kibibytes) * 1024


def hand_offs(*daemons: DaemonProcess) -> list[float]:
    """The median time of a `send` to each daemon, in seconds; alternating, so that a busy moment affects all."""
    times: list[list[float]] = [[] for _ in daemons]
    for number in range(PROBES):
        for daemon, mine in zip(daemons, times, strict=True):
            start = time.perf_counter()
            daemon.client.send(f"probe {number}", body=BODY)
            mine.append(time.perf_counter() - start)
    return [median(mine) for mine in times]


def time_to_ready(daemon: DaemonProcess) -> float:
    """The processor time of a daemon from its start to READY, in seconds: no other process adds to it. The daemon keeps running."""
    daemon.start()
    after_name = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_100000_queued_signals_cost_no_memory_and_delay_neither_send_nor_start(tmp_path: Path, nowhere: str) -> None:
    config = discord("d", nowhere, **DOWN) + route("d")
    (tmp_path / "none").mkdir()
    (tmp_path / "many").mkdir()
    with (
        DaemonProcess(tmp_path / "none", config, executed=True) as none,
        DaemonProcess(tmp_path / "many", config, executed=True) as many,
    ):
        store(many.start(), 2_000)  # warm: code loaded, windows and caches full
        many.status()
        idle = memory(many)
        store(many, MANY)
        eventually(lambda: many.status()["queue"]["depth"] == MANY + 2_000, 60)
        grown = memory(many) - idle
        quick, loaded = hand_offs(none.start(), many)
        slower = loaded / quick
        assert many.stop() == none.stop() == 0
        shutil.rmtree(none.state)  # it has the probes in its queue
        without, with_all = [], []
        for _ in range(STARTS):
            without.append(time_to_ready(none))
            none.kill()
            with_all.append(time_to_ready(many))
            many.kill()
        later = median(with_all) - median(without)
    print(
        f"memory {idle / MEBIBYTE:.1f} MiB idle, {grown / MEBIBYTE:+.1f} MiB with {MANY};"
        f" send {quick * 1e6:.0f} us, x {slower:.2f}; start {median(without):.3f} s, {later:+.3f} s"
    )
    assert grown <= 15 * MEBIBYTE  # about 5 alone, and 9 with an engine
    assert slower <= 2.0
    assert later <= 1.0


@pytest.mark.slow
def test_backlog_of_50000_sends_urgent_first_at_the_permitted_rate(
    tmp_path: Path, nowhere: str, fake: FakeProcess
) -> None:
    rate = 50
    with DaemonProcess(tmp_path, discord("d", nowhere, **DOWN) + route("d"), executed=True).start() as daemon:
        store(daemon, HUNDRED, ("normal", "low"))
        daemon.wait_for("breaker-opened", destination="d")
        store(daemon, 49_800, ("normal", "low"))
        store(daemon, 100, ("high", "urgent"))  # the last ones in
        eventually(lambda: sum(daemon.status()["queue"]["by_priority"].values()) >= 50_000 - HUNDRED, 60)
        before = queue(daemon)[:200]
        held = memory(daemon)
        daemon.configure(discord("d", fake.webhooks[0]["url"], limit=f'"{rate}/s"', **UP) + route("d"))
        daemon.reload()
        until(fake, lambda counts: counts["accepted"] >= 200)
        copies = fake.messages()
        titles = [copy.title for copy in arrived(fake)][:200]
        grown = memory(daemon) - held
    assert [row["priority"] for row in before] == ["urgent"] * 50 + ["high"] * 50 + ["normal"] * 100
    assert titles == [row["title"] for row in before]
    times = [message["steady"] for message in copies]
    assert all(later - earlier > 0.98 for earlier, later in zip(times, times[rate:], strict=False))
    assert set(fake.counts()["most_in_flight"].values()) == {1}
    assert grown <= 10 * MEBIBYTE
