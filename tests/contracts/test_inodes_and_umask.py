"""A file system without free inodes, and the umasks 777 and 0."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, as_stranger, file, public_folder, route

from tocsin.disk_errors import NO_INODES
from tocsin.outbox import Outbox

CONFIG = file() + route("local-file")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk, or become another user")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system with twenty inodes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=20,size=24m", "tmpfs", folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=PATIENCE)


def use_up_inodes(folder: Path, leave: int) -> None:
    with suppress(OSError):
        for number in range(100):
            (folder / f"full-{number}").touch()
    for number in range(leave):
        (folder / f"full-{number}").unlink()


@AS_ROOT
@pytest.mark.parametrize("leave", [0, 1, 2, 3])
def test_daemon_start_without_inodes_reports_reason(small: Path, tmp_path: Path, leave: int) -> None:
    use_up_inodes(small, leave)
    with DaemonProcess(tmp_path, CONFIG, {"STATE_DIRECTORY": str(small / "state")}) as daemon:
        daemon.spawn()
        assert daemon.process.wait(PATIENCE) == 73
        assert NO_INODES in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()


@AS_ROOT
def test_client_spool_without_inodes_reports_reason(small: Path, tmp_path: Path) -> None:
    use_up_inodes(small, 0)
    daemon = DaemonProcess(tmp_path, CONFIG, {"TOCSIN_SPOOL": str(small / "spool")})
    done = daemon.tocsin("send", "x")
    assert done.returncode == 69
    assert NO_INODES in done.stderr


def wrong_modes(home: Path) -> list[str]:
    """The files that their owner cannot use, or another user can."""
    wanted = {True: 0o700, False: 0o600}
    found = {path: path.lstat().st_mode for path in home.rglob("*")}
    return [f"{path} {mode:o}" for path, mode in found.items() if mode & 0o777 != wanted[stat.S_ISDIR(mode)]]


@pytest.mark.parametrize("umask", [0o777, 0])
def test_files_are_private_with_any_umask(tmp_path: Path, umask: int) -> None:
    env = {
        **os.environ,
        "STATE_DIRECTORY": str(tmp_path / "a" / "state"),
        "TOCSIN_SOCKET": str(tmp_path / "b" / "t.sock"),
    }
    del env["TOCSIN_SPOOL"]

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            command, env=env, umask=umask, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    assert run("tocsind", "init").returncode == 0
    assert run("tocsind", "check").returncode == 0
    sent = run("tocsin", "send", "without a daemon", "--json")
    assert json.loads(sent.stdout)["state"] == "spooled", sent
    assert wrong_modes(tmp_path) == []


@AS_ROOT
def test_unprivileged_user_spools_with_umask_777() -> None:
    with public_folder(0o777) as folder:

        def spool_twice() -> list[int]:
            os.umask(0o777)
            for _ in range(2):
                Outbox(str(folder / "above" / "spool")).append(b'[{"title":"one"}]', 1.0, synced=True)
            return [len(path.read_bytes()) for path in (folder / "above" / "spool").iterdir()]

        assert len(as_stranger(spool_twice)) == 2
