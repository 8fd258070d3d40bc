"""A crash at each point between accept and settle, and the fate of the signal at that point.

A signal is ambiguous between the commit that opens its attempt and the commit that closes it. Before the first nothing was
sent; after the second the outcome is known; in between it is unknown, so the signal is sent again and marked.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.assertions import Copy, all_delivered, arrived, attempts, by_id, written
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route

from tocsin.errors import TocsinError
from tocsin.signals import PRIORITIES, Signal

COMMAND = (sys.executable, "-m", "tests.e2e.crashing")
ROOT = Path(__file__).parents[2]


class Expected(NamedTuple):
    """The receipt of a second try under the same id, and the mark of each copy that arrives."""

    again: str
    marks: tuple[bool, ...]


ONCE = (False,)
ONCE_IN_DOUBT = (True,)  # it was not sent, but the next daemon cannot know that
TWICE = (False, True)

TABLE = {
    "look:after": Expected("duplicate", ONCE),
    "insert:done": Expected("duplicate", ONCE),
    "insert:committed": Expected("duplicate", ONCE),
    "confirm:before": Expected("duplicate", ONCE),
    "confirm:after": Expected("duplicate", ONCE),
    "begin:done": Expected("duplicate", ONCE),
    "begin:committed": Expected("duplicate", ONCE_IN_DOUBT),
    "deliver:before": Expected("duplicate", ONCE_IN_DOUBT),
    "deliver:after": Expected("duplicate", TWICE),
    "settle:done": Expected("duplicate", TWICE),
    "settle:committed": Expected("duplicate", ONCE),
}


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[FakeProcess]:
    """One fake for the whole table; ids distinguish the signals."""
    with FakeProcess("--limits", "none") as running:
        yield running


def crash(daemon: DaemonProcess, point: str) -> None:
    """Start a daemon that will crash at this point."""
    daemon.env.update(CRASH=point, PYTHONPATH=str(ROOT))
    daemon.start(*COMMAND)


def assert_crashed(daemon: DaemonProcess) -> None:
    """The daemon has crashed."""
    assert daemon.process.wait(PATIENCE) == -signal.SIGKILL


def send_until_crash(daemon: DaemonProcess, signals: list[Signal]) -> None:
    """Send one by one, each delivered before the next, until the daemon has crashed."""
    for each in signals:
        try:
            daemon.client.send(each)
            daemon.settled(each.id)
        except TocsinError:
            assert_crashed(daemon)
            return
    assert_crashed(daemon)


def marks(copies: list[Copy], signals: list[Signal]) -> list[tuple[bool, ...]]:
    """For each signal the marks of its copies, in order."""
    found = by_id(copies)
    return [tuple(copy.marked for copy in found[each.id]) for each in signals]


def assert_as_the_table_says(
    daemon: DaemonProcess, copies: list[Copy], signals: list[Signal], at: int, point: str
) -> None:
    """The signal at the point has the table's copies, all others one without a mark."""
    found = marks(copies, signals)
    if point.startswith("confirm"):
        # outboxes are confirmed while the lanes work: one delivery may have begun, and even ended
        at = next((place for place, each in enumerate(found) if each != ONCE), at)
    struck = found.pop(at)
    assert found == [ONCE] * len(found)
    assert struck in ({ONCE, ONCE_IN_DOUBT, TWICE} if point.startswith("confirm") else {TABLE[point].marks})
    interrupted = [outcome for outcome, _ in attempts(daemon, signals[at].id)].count("unknown")
    assert interrupted == (struck != ONCE)


@pytest.mark.parametrize("number", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("point", TABLE)
def test_crash_between_accept_and_settle_loses_nothing_and_repeats_only_ambiguous(
    tmp_path: Path, shared_fake: FakeProcess, point: str, number: int
) -> None:
    signals = [Signal(f"{point} {n}", priority=PRIORITIES[-n]) for n in range(1, 5)]
    config = discord("d", shared_fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config) as daemon:
        crash(daemon, f"{point}:{number}")
        send_until_crash(daemon, signals)
        daemon.start()
        again = [daemon.client.send(each).state for each in signals]
        lost_with_its_caller = (point, number) == ("insert:done", 1)  # sent over the socket, and not yet on disk
        assert again[number - 1] == ("stored" if lost_with_its_caller else TABLE[point].again)
        assert all_delivered(daemon, (each.id for each in signals))
        copies = arrived(shared_fake)
        assert_as_the_table_says(daemon, copies, signals, number - 1, point)


@pytest.mark.parametrize("point", ["begin:committed", "deliver:after", "settle:committed"])
def test_crash_of_file_delivery_loses_nothing_and_repeats_only_ambiguous(tmp_path: Path, point: str) -> None:
    signals = [Signal(f"signal {n}") for n in range(3)]
    with DaemonProcess(tmp_path, file("d") + route("d")) as daemon:
        crash(daemon, f"{point}:2")
        send_until_crash(daemon, signals)
        daemon.start()
        for each in signals:
            daemon.client.send(each)
        assert all_delivered(daemon, (each.id for each in signals))
        assert_as_the_table_says(daemon, written(daemon.state / "alerts.jsonl"), signals, 1, point)


@pytest.mark.parametrize("moment", ["done", "committed"])
def test_crash_during_recovery_changes_nothing(tmp_path: Path, shared_fake: FakeProcess, moment: str) -> None:
    signals = [Signal(f"replay {moment}")]
    with DaemonProcess(tmp_path, discord("d", shared_fake.webhooks[0]["url"]) + route("d")) as daemon:
        crash(daemon, "deliver:after:1")
        send_until_crash(daemon, signals)
        daemon.env["CRASH"] = f"replay:{moment}:1"
        daemon.spawn(*COMMAND)
        assert_crashed(daemon)
        daemon.start()
        assert all_delivered(daemon, (each.id for each in signals))
        assert marks(arrived(shared_fake), signals) == [TWICE]
