"""A disk that other programs have filled: the daemon starts, delivers its queue, raises an alarm, and recovers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.assertions import arrived
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until
from tests.outboxes import close_outboxes

import tocsin

RESERVE = '[daemon]\nreserve = "1MiB"\n'
ALARM = "No signals are taken: the disk is full"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


class Disk:
    """A small file system and the file that fills it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        """Fill the file system to its last byte."""
        with self._filling.open("ab", buffering=0) as file:
            for size in (2**20, 4096):
                with suppress(OSError):  # no space left on the device
                    while True:
                        file.write(bytes(size))

    def empty(self) -> None:
        self._filling.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield Disk(folder)
    finally:
        close_outboxes()
        subprocess.run(["umount", str(folder)], check=True, timeout=PATIENCE)


@pytest.fixture
def daemon(tmp_path: Path, disk: Disk, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon with its state on that disk."""
    config = RESERVE + discord("d", fake.webhooks[0]["url"]) + route("d")
    env = {"STATE_DIRECTORY": str(disk.folder / "state")}
    with DaemonProcess(tmp_path / "daemon", config, env) as daemon:
        daemon.start()
        until((disk.folder / "state" / "journal.reserve").exists)
        yield daemon


def waiting(daemon: DaemonProcess, fake: FakeProcess) -> list[str]:
    """Stored signals that wait, because Discord holds the first request."""
    fake.hold()
    ids = [daemon.client.send(f"signal {number}").id for number in range(30)]
    fake.await_held()
    assert daemon.status()["counters"]["signals_accepted"] == 30  # none is left in an outbox
    return ids


def titles(fake: FakeProcess) -> list[str]:
    return [copy.title for copy in arrived(fake)]


def assert_recovers(daemon: DaemonProcess, disk: Disk) -> None:
    """The daemon recovers without an operator once there is room."""
    with pytest.raises(tocsin.RequestFailed) as refused:
        daemon.client.send("too much")
    assert refused.value.kind == "full"
    assert daemon.status()["health"] == "failing"
    disk.empty()
    daemon.wait_for("intake-opened")
    assert daemon.settled(daemon.client.send("room again").id) == ["delivered"]
    assert (disk.folder / "state" / "journal.reserve").exists()


def test_full_disk_stops_no_delivery_and_raises_alarm(daemon: DaemonProcess, disk: Disk, fake: FakeProcess) -> None:
    ids = waiting(daemon, fake)
    disk.fill()
    fake.release()
    assert daemon.settled(*ids) == ["delivered"] * len(ids)
    until(lambda: ALARM in titles(fake))
    assert_recovers(daemon, disk)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_daemon_starts_on_full_disk_and_delivers_queue(
    daemon: DaemonProcess, disk: Disk, fake: FakeProcess, end: str
) -> None:
    ids = waiting(daemon, fake)
    if end == "kill":
        disk.fill()
        daemon.kill()
    else:
        daemon.process.terminate()
        fake.release()
        assert daemon.process.wait(PATIENCE) == 0
    disk.fill()
    daemon.start()
    fake.release()
    assert daemon.settled(*ids) == ["delivered"] * len(ids)
    until(lambda: ALARM in titles(fake))
    assert_recovers(daemon, disk)


def test_alarm_is_sent_without_disk_space(daemon: DaemonProcess, disk: Disk, fake: FakeProcess) -> None:
    before = daemon.client.send("before").id
    assert daemon.settled(before) == ["delivered"]
    disk.fill()
    (disk.folder / "state" / "journal.reserve").unlink()  # another program uses the reserved space
    disk.fill()
    until(lambda: ALARM in titles(fake))
    assert_recovers(daemon, disk)
