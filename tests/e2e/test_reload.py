"""SIGHUP under load: the limit changes each time, so the daemon replaces the lane while it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.assertions import all_delivered, arrived, until
from tests.e2e.producer import Producer
from tests.harness import DaemonProcess, FakeProcess, discord, file, notify_socket, route

RELOADS = 12


def arrive(fake: FakeProcess, count: int) -> None:
    """Wait until `messages` more have arrived."""
    wanted = fake.counts()["accepted"] + count
    until(fake, lambda counts: bool(counts["accepted"] >= wanted))


@contextmanager
def started(daemon: DaemonProcess) -> Iterator[Callable[[], None]]:
    """Start the daemon; returns a call that waits for its next READY."""
    with notify_socket(daemon.folder) as (address, received):

        def ready() -> None:
            while "READY=1" not in received():
                pass

        daemon.spawn(env={"NOTIFY_SOCKET": address})
        ready()
        yield ready


def test_reload_under_load_loses_and_repeats_nothing(tmp_path: Path, fake: FakeProcess) -> None:
    url = fake.webhooks[0]["url"]
    configs = [discord("d", url, limit=f'"{100_000 + n}/s"') + route("d") for n in range(RELOADS)]
    with DaemonProcess(tmp_path, configs[0]) as daemon, started(daemon) as ready, ExitStack() as stack:
        programs = [stack.enter_context(Producer(daemon, f"p{n}", 10_000, 0.02)) for n in range(4)]
        for config in configs:
            arrive(fake, 10)
            daemon.configure(config)
            daemon.reload()
            ready()
        stored = [each["id"] for program in programs for each in program.stop()]
        assert all_delivered(daemon, stored)
        counters = daemon.status()["counters"]
        assert daemon.stop() == 0
    copies = arrived(fake)
    assert sorted(copy.id for copy in copies) == sorted(stored)
    assert not any(copy.marked for copy in copies)
    assert counters["deliveries_deferred"] == counters["deliveries_in_doubt"] == 0
    assert set(fake.counts()["most_in_flight"].values()) == {1}
    assert daemon.log.read_text().count(" reloaded ") == RELOADS


def test_destination_removed_and_restored_by_reload_keeps_its_queue(tmp_path: Path, fake: FakeProcess) -> None:
    both = discord("d", fake.webhooks[0]["url"]) + file() + route("d", "local-file")
    without = file() + '[[routes]]\nwhen = { tier = "premium" }\nto = ["local-file"]\n'
    with DaemonProcess(tmp_path, both) as daemon, started(daemon) as ready:
        fake.script({"behaviour": "rate_limited", "retry_after": 3600})
        stored = [daemon.client.send(f"signal {n}").id for n in range(10)]
        daemon.wait_for("rate-limited", destination="d")
        daemon.configure(without)
        daemon.reload()
        ready()
        assert daemon.status()["problems"] == ["10 wait for d, which the configuration no longer names"]
        daemon.configure(both)
        daemon.reload()
        ready()
        assert daemon.destination("d")["condition"] == "limited"  # it is still blocked
        assert sum(daemon.destination("d")["queued"].values()) == len(stored)
