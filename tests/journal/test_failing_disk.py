"""The real daemon on a failing disk: a failing sync, a full disk, a used-up reserve."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, need, route, until
from tests.manager import Manager

import tocsin
from tocsind.journal.opening import FILE_NAME

WAITING = file() + route("local-file")


class Disk:
    """The switches of a disk that fails on demand."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._sync = folder / "fail-sync"
        self._write = folder / "fail-write"
        self.env = {
            "LD_PRELOAD": str(library),
            "FAIL_FILES": f"/{FILE_NAME}",
            "FAIL_SYNC": str(self._sync),
            "FAIL_WRITE": str(self._write),
        }

    def fail_syncs(self) -> None:
        self._sync.touch()

    def be_full(self) -> None:
        self._write.touch()

    def heal(self) -> None:
        self._sync.unlink(missing_ok=True)
        self._write.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = need("cc")
    built = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(built), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return built


@pytest.fixture
def disk(tmp_path: Path, library: Path) -> Disk:
    return Disk(tmp_path, library)


@pytest.fixture
def daemon(tmp_path: Path, disk: Disk, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon on that disk, with one destination."""
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, disk.env) as daemon:
        yield daemon.start()


def assert_left_for(daemon: DaemonProcess, *reasons: str) -> None:
    """The daemon stopped with the right exit code, and its last line says why."""
    assert daemon.process.wait(PATIENCE) == 73
    last = daemon.log.read_text().splitlines()[-1]
    assert last.startswith("tocsind: the ")
    assert all(reason in last for reason in reasons)
    assert "Traceback" not in daemon.log.read_text()


def test_failed_sync_gives_no_receipt_and_stops_the_daemon_with_its_reason(daemon: DaemonProcess, disk: Disk) -> None:
    stored = daemon.client.send("before")
    assert daemon.settled(stored.id) == ["delivered"]
    disk.fail_syncs()
    with pytest.raises(tocsin.Unreachable):
        daemon.client.send("during", to="d")
    assert_left_for(daemon, "journal", "SQLITE_IOERR_FSYNC")


def test_start_after_failed_sync_has_all_acknowledged_signals(
    daemon: DaemonProcess, disk: Disk, fake: FakeProcess
) -> None:
    acknowledged = [daemon.client.send(f"signal {number}").id for number in range(20)]
    disk.fail_syncs()
    with pytest.raises(tocsin.Unreachable):
        daemon.client.send("never acknowledged", to="d")
    assert daemon.process.wait(PATIENCE) == 73
    disk.heal()
    daemon.start()
    assert daemon.settled(*acknowledged) == ["delivered"] * 20
    titles = set(fake.titles())
    assert titles >= {f"signal {number}" for number in range(20)}
    assert daemon.client.send("after").state == "stored"


def test_journal_commit_fails_behind_receipt_and_next_start_delivers_from_outbox(
    daemon: DaemonProcess, disk: Disk, fake: FakeProcess
) -> None:
    assert daemon.settled(daemon.client.send("before").id) == ["delivered"]
    disk.fail_syncs()
    stored = daemon.client.send("in the outbox alone")
    assert stored.state == "stored"
    assert_left_for(daemon, "SQLITE_IOERR_FSYNC")
    disk.heal()
    daemon.start()
    assert daemon.settled(stored.id) == ["delivered"]
    titles = fake.titles()  # an alarm about the disk, and its all-clear, may be among them
    assert (titles.count("before"), titles.count("in the outbox alone")) == (1, 1)


def test_outbox_holds_signals_while_the_disk_is_full(daemon: DaemonProcess, disk: Disk, fake: FakeProcess) -> None:
    with tocsin.Client(daemon.socket, timeout=PATIENCE) as polite:
        assert daemon.settled(polite.send("before").id) == ["delivered"]
        disk.be_full()
        held = [polite.send("taken, until it is found not to fit").id]
        daemon.wait_for("intake-closed")
        receipt = polite.send("held by the outbox")
    assert (receipt.state, "full" in (receipt.reason or "")) == ("spooled", True)
    held.append(receipt.id)
    status = daemon.status()  # read requests are served
    assert status["health"] == "failing"
    assert any("no signal is taken: the disk is full" in problem for problem in status["problems"])
    for _ in range(5):  # each is a try, and none of them opens intake while the disk is full
        with pytest.raises(tocsin.RequestFailed, match="the disk is full"):
            daemon.client.send("refused")
        assert daemon.status()["health"] == "failing"
    assert "intake-opened" not in daemon.log.read_text()
    disk.heal()
    titles = {"taken, until it is found not to fit", "held by the outbox"}
    until(lambda: titles <= set(fake.titles()))  # the daemon tries again by itself
    assert daemon.settled(*held) == ["delivered"] * len(held)


def test_outbox_record_on_a_full_disk_survives_stop_and_start(
    daemon: DaemonProcess, disk: Disk, fake: FakeProcess
) -> None:
    assert daemon.settled(daemon.client.send("before").id) == ["delivered"]
    disk.be_full()
    stored = daemon.client.send("in the outbox alone")
    assert daemon.stop() == 0
    disk.heal()
    daemon.start()
    assert daemon.settled(stored.id) == ["delivered"]
    titles = fake.titles()  # an alarm about the disk, and its all-clear, may be among them
    assert (titles.count("before"), titles.count("in the outbox alone")) == (1, 1)


def test_disk_whose_syncs_fail_from_the_start_is_reported_at_once(tmp_path: Path, disk: Disk) -> None:
    disk.fail_syncs()
    with DaemonProcess(tmp_path, WAITING, disk.env) as daemon:
        assert daemon.spawn().wait(PATIENCE) == 73
        (line,) = daemon.log.read_text().splitlines()
        assert line.startswith("tocsind: the journal ")


def test_full_disk_refuses_signals_and_accepts_them_once_there_is_room(daemon: DaemonProcess, disk: Disk) -> None:
    before = daemon.client.send("before")
    assert daemon.settled(before.id) == ["delivered"]
    disk.be_full()
    with pytest.raises(tocsin.RequestFailed) as refused:
        daemon.client.send("during", to="d")
    assert refused.value.kind == "full"
    disk.heal()
    after = daemon.client.send("after")
    assert daemon.settled(after.id) == ["delivered"]
    assert daemon.stop() == 0


def test_outcomes_wait_for_room_and_nothing_is_sent_twice(daemon: DaemonProcess, disk: Disk, fake: FakeProcess) -> None:
    fake.hold(saved=True)
    receipt = daemon.client.send("on its way while the disk fills")
    fake.await_held()
    disk.be_full()
    fake.release()
    daemon.wait_for("storage-problem")
    disk.heal()
    assert daemon.settled(receipt.id) == ["delivered"]
    assert fake.titles().count("on its way while the disk fills") == 1


def test_full_disk_is_no_standstill(tmp_path: Path, disk: Disk, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with Manager(str(tmp_path / "manager")) as manager, DaemonProcess(tmp_path, config, disk.env) as daemon:
        daemon.spawn(env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"})
        manager.receive_assignment("READY")
        fake.hold()
        daemon.client.send("on its way while the disk fills")
        fake.await_held()
        disk.be_full()
        fake.release()
        daemon.wait_for("storage-problem")
        manager.discard()
        assert [manager.receive()[0] for _ in range(3)] == [{"WATCHDOG": "1", "STATUS": "serving"}] * 3


RESERVE = '[daemon]\nreserve = "{reserve}"\n'


def test_intake_closes_below_the_reserve_while_deliveries_go_on(tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, RESERVE.format(reserve="1 MiB") + config).start() as daemon:
        fake.control("POST", "hold", {})
        waiting = daemon.client.send("stored before, delivered below the reserve")
        daemon.configure(RESERVE.format(reserve="999999 TiB") + config)
        daemon.reload()
        daemon.wait_for("reloaded")
        with pytest.raises(tocsin.RequestFailed) as refused:
            daemon.client.send("too much")
        assert refused.value.kind == "full"
        fake.control("POST", "release")
        assert daemon.settled(waiting.id) == ["delivered"]
        status = daemon.status()
        assert status["health"] == "failing"
        assert status["storage"]["healthy"] is False
        assert any("kept in reserve" in problem for problem in status["problems"])
        daemon.configure(RESERVE.format(reserve="1 MiB") + config + file())
        daemon.reload()
        daemon.wait_for("reloaded", destinations=2)
        assert daemon.client.send("room again").state == "stored"
        assert daemon.status()["storage"]["healthy"] is True
