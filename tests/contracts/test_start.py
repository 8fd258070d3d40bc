"""The start of the daemon: exclusive use of state and socket, private files, and a clear message for each obstacle."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route

CONFIG = file() + route("local-file")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The daemon that runs already, and must not be disturbed by another start."""
    with DaemonProcess(tmp_path_factory.mktemp("first"), CONFIG).start() as daemon:
        yield daemon


def fails_to_start(daemon: DaemonProcess) -> tuple[int, str]:
    """The exit code and the output."""
    code = daemon.spawn().wait(PATIENCE)
    return code, daemon.log.read_text()


def test_second_daemon_on_same_state_exits_with_reason(tmp_path: Path, first: DaemonProcess) -> None:
    with DaemonProcess(tmp_path, CONFIG, {"STATE_DIRECTORY": str(first.state)}) as second:
        code, said = fails_to_start(second)
    assert code == 75
    assert f"pid {first.process.pid}" in said
    assert str(first.state) in said
    assert "Traceback" not in said
    assert first.client.send("still here").state == "stored"


def test_second_daemon_on_same_socket_exits_with_reason(tmp_path: Path, first: DaemonProcess) -> None:
    with DaemonProcess(tmp_path, CONFIG, {"TOCSIN_SOCKET": first.socket}) as second:
        code, said = fails_to_start(second)
    assert code == 75
    assert first.socket in said
    assert "Traceback" not in said
    assert Path(first.socket).exists()
    assert first.client.send("still here").state == "stored"


def test_two_daemons_starting_on_one_socket_leave_one_server(tmp_path: Path) -> None:
    shared = {"TOCSIN_SOCKET": str(tmp_path / "shared.sock")}
    rivals = [DaemonProcess(tmp_path / name, CONFIG, shared, socket=shared["TOCSIN_SOCKET"]) for name in ("a", "b")]
    try:
        for rival in rivals:
            rival.spawn()
        rivals[0].await_socket()
        loser = next(rival for rival in rivals * 1000 if rival.ended_within(0.05))
        assert loser.process.returncode == 75, loser.log.read_text()
        (winner,) = (rival for rival in rivals if rival is not loser)
        assert winner.status()["pid"] == winner.process.pid
    finally:
        for rival in rivals:
            rival.__exit__()


def test_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        daemon.kill()
        assert Path(daemon.socket).exists()
        daemon.start()
        assert daemon.client.send("back again").state == "stored"


def test_file_in_place_of_socket_is_reported_and_kept(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        Path(daemon.socket).write_text("precious")
        code, said = fails_to_start(daemon)
        assert code == 73
        assert f"{daemon.socket} is there and is no socket" in said
        assert Path(daemon.socket).read_text() == "precious"


def test_state_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with DaemonProcess(tmp_path, CONFIG, {"STATE_DIRECTORY": str(tmp_path / "file" / "state")}) as daemon:
        code, said = fails_to_start(daemon)
    assert code == 73
    assert said == f"tocsind: the state folder {tmp_path}/file/state cannot be used: Not a directory\n"


def test_state_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG, {"STATE_DIRECTORY": str(tmp_path / "a" / "b" / "state")}).start() as daemon:
        assert daemon.client.send("x").state == "stored"


def test_read_only_state_folder_is_reported(tmp_path: Path) -> None:
    # /proc takes no files from anyone, root included
    with DaemonProcess(tmp_path, CONFIG, {"STATE_DIRECTORY": "/proc/self"}) as daemon:
        code, said = fails_to_start(daemon)
    assert code == 73
    assert "the state folder /proc/self cannot be used" in said
    assert "Traceback" not in said


def test_socket_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with DaemonProcess(tmp_path, CONFIG, {"TOCSIN_SOCKET": str(tmp_path / "file" / "t.sock")}) as daemon:
        code, said = fails_to_start(daemon)
    assert code == 73
    assert "the socket's folder" in said
    assert "Traceback" not in said


def test_socket_path_that_is_too_long_is_reported(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG, {"TOCSIN_SOCKET": str(tmp_path / ("s" * 120))}) as daemon:
        code, said = fails_to_start(daemon)
    assert code == 73
    assert "cannot be made" in said
    assert "Traceback" not in said


def test_journal_that_is_no_database_is_set_aside_unchanged(tmp_path: Path) -> None:
    diary = "my diary, and no database " * 100
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.state.mkdir(mode=0o700)
        (daemon.state / "journal.db").write_text(diary)
        daemon.start()
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        (aside,) = daemon.state.glob("damaged-*")
        assert (aside / "journal.db").read_text() == diary
        assert "not a database" in (aside / "reason.txt").read_text()
        assert "Traceback" not in daemon.log.read_text()


def test_start_with_invalid_configuration_reports_all_problems_and_writes_nothing(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, 'colour = "red"\n[[routes]]\nto = ["nowhere"]\n') as daemon:
        code, said = fails_to_start(daemon)
        assert code == 78
        assert f"{daemon.config}:1: colour" in said
        assert f"{daemon.config}:3: routes" in said
        assert not daemon.state.exists()


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=oct)
def test_daemon_files_are_private_with_any_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "run"
    with DaemonProcess(
        tmp_path, CONFIG, {"TOCSIN_SOCKET": str(folder / "t.sock")}, socket=str(folder / "t.sock")
    ) as daemon:
        daemon.start(umask=umask)
        daemon.settled(daemon.client.send("x").id)
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in daemon.state.iterdir()}
        assert modes.pop("spool") == 0o700
        assert {"journal.db", "journal.db-wal", "lock", "alerts.jsonl"} <= set(modes)
        assert set(modes.values()) == {0o600}, {name: oct(mode) for name, mode in modes.items()}
        assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(daemon.socket).stat().st_mode) & 0o007 == 0, "the socket is for owner and group"


def test_daemon_disables_core_dumps_and_raises_descriptor_limit(first: DaemonProcess) -> None:
    limits = Path(f"/proc/{first.process.pid}/limits").read_text().splitlines()
    core = next(line.split() for line in limits if line.startswith("Max core file size"))
    files = next(line.split() for line in limits if line.startswith("Max open files"))
    assert core[4:6] == ["0", "0"]
    assert files[3] == files[4] or int(files[3]) >= 65536


def close_standard_streams() -> None:
    for number in (0, 1, 2):
        os.close(number)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into it: it is not dumpable")
def test_closed_standard_streams_are_replaced_by_no_file_of_daemon(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG) as daemon:
        daemon.start(preexec_fn=close_standard_streams)
        assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
        places = [Path(f"/proc/{daemon.process.pid}/fd/{number}").readlink() for number in (0, 1, 2)]
        assert places == [Path("/dev/null")] * 3
        assert daemon.stop() == 0


def test_closed_log_pipe_is_not_fatal(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with DaemonProcess(tmp_path, CONFIG) as daemon:
            daemon.start(stderr=writing)
            assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
            assert daemon.stop() == 0
    finally:
        os.close(writing)
