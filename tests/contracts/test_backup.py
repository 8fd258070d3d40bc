"""`tocsin backup`: a complete copy while the daemon runs, the permission for it, and a start on the copy."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.assertions import arrived
from tests.harness import DaemonProcess, FakeProcess, discord, file, route, until


def content(path: Path) -> tuple[str, int]:
    """The integrity check of the copy, and the number of its signals."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        (signals,) = connection.execute("SELECT count(*) FROM signals").fetchone()
    return verdict, signals


@pytest.fixture
def daemon(tmp_path: Path) -> DaemonProcess:
    return DaemonProcess(tmp_path / "daemon", file() + route("local-file"))


def test_backup_is_complete_and_private(tmp_path: Path, daemon: DaemonProcess) -> None:
    with daemon.start():
        for number in range(50):
            daemon.client.send(f"signal {number}")
        copy = tmp_path / "copy.db"
        made = daemon.tocsin("backup", str(copy), "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout) == {"schema": 1, "ok": True, "file": str(copy), "bytes": copy.stat().st_size}
        assert content(copy) == ("ok", 50)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
        assert daemon.settled(daemon.client.send("after").id) == ["delivered"]
        assert daemon.tocsin("backup", "--force", str(copy)).returncode == 0
        assert content(copy) == ("ok", 51)


def test_backup_is_a_snapshot_although_reading_takes_time(daemon: DaemonProcess, tmp_path: Path) -> None:
    with daemon.start():
        daemon.client.send_many([{"title": f"signal {n}", "body": "x" * 4000} for n in range(500)])
        replies = daemon.client.stream("backup", idle=20)
        pieces = [next(replies)]
        for number in range(600):
            daemon.client.send(f"signal {number}", body="x" * 4000)
        pieces += replies
        copy = tmp_path / "copy.db"
        copy.write_bytes(b"".join(piece["data"] for piece in pieces))
        assert copy.stat().st_size == pieces[0]["size"]
        assert content(copy) == ("ok", 500)
        assert daemon.tocsin("backup", str(tmp_path / "later.db")).returncode == 0
        assert content(tmp_path / "later.db") == ("ok", 1100)


def test_backup_does_not_overwrite_existing_file(tmp_path: Path, daemon: DaemonProcess) -> None:
    with daemon.start():
        (tmp_path / "copy.db").write_text("precious")
        refused = daemon.tocsin("backup", str(tmp_path / "copy.db"), "--json")
        assert refused.returncode == 73
        assert json.loads(refused.stdout)["error"]["kind"] == "exists"
        assert "--force" in refused.stderr
        assert (tmp_path / "copy.db").read_text() == "precious"


def test_backup_into_the_state_folder_is_refused(daemon: DaemonProcess) -> None:
    with daemon.start():
        before = (daemon.state / "journal.db").stat().st_ino
        for name in ("journal.db", "lock", "new.db"):
            refused = daemon.tocsin("backup", "--force", str(daemon.state / name))
            assert (refused.returncode, "is the state folder of a daemon" in refused.stderr) == (73, True)
        assert (daemon.state / "journal.db").stat().st_ino == before
        assert daemon.client.send("still served").state == "stored"


def test_backup_into_missing_folder_names_it_and_the_next_command(tmp_path: Path, daemon: DaemonProcess) -> None:
    with daemon.start():
        done = daemon.tocsin("backup", str(tmp_path / "nowhere" / "copy.db"), "--json")
    assert done.returncode == 73
    error = json.loads(done.stdout)["error"]["message"]
    assert error.startswith(f"cannot write {tmp_path}/nowhere/copy.db: the folder {tmp_path}/nowhere does not exist; ")
    assert f"`mkdir -p {tmp_path}/nowhere`" in error


@pytest.mark.parametrize("words", [[], ["--force"]])
def test_backup_onto_a_folder_suggests_a_file_in_it(tmp_path: Path, daemon: DaemonProcess, words: list[str]) -> None:
    with daemon.start():
        done = daemon.tocsin("backup", *words, str(tmp_path))
    assert (done.returncode, done.stdout) == (73, "")
    assert f"{tmp_path} is a folder; name a file in it: `tocsin backup {tmp_path}/tocsin.db`" in done.stderr


def test_backup_without_daemon_leaves_no_file(tmp_path: Path, daemon: DaemonProcess) -> None:
    copy = tmp_path / "copy.db"
    assert daemon.tocsin("backup", str(copy)).returncode == 69
    assert list(tmp_path.glob("copy*")) == []


def test_concurrent_backup_is_refused_with_retry_hint(daemon: DaemonProcess, tmp_path: Path) -> None:
    with daemon.start():
        daemon.client.send_many([{"title": f"signal {n}", "body": "x" * 4000} for n in range(2000)])
        replies = daemon.client.stream("backup", idle=20)
        next(replies)
        assert daemon.tocsin("backup", str(tmp_path / "second.db")).returncode == 75
        replies.close()  # closing the connection ends the backup
        until(lambda: daemon.tocsin("backup", "--force", str(tmp_path / "third.db")).returncode == 0)
        assert content(tmp_path / "third.db") == ("ok", 2000)


def test_start_on_backup_marks_queued_signals_and_loses_none(tmp_path: Path, fake: FakeProcess) -> None:
    outage = discord("d", "http://127.0.0.1:1/api/webhooks/1/x") + route("d")
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path / "daemon", outage).start() as daemon:
        for title in ("one", "two", "three"):
            daemon.client.send(title)
        copy = tmp_path / "copy.db"
        assert daemon.tocsin("backup", str(copy)).returncode == 0
        daemon.client.send("after the copy")
        assert daemon.status()["queue"]["depth"] == 4  # and it is not in an outbox any more
        assert daemon.stop() == 0
        (daemon.state / "journal.db").unlink()
        shutil.copyfile(copy, daemon.state / "journal.db")
        daemon.configure(config)
        daemon.start()
        until(lambda: len(arrived(fake)) == 3)
        assert sorted((each.title, each.marked) for each in arrived(fake)) == [
            ("one", True),
            ("three", True),
            ("two", True),
        ]
        assert "journal-replaced" in daemon.log.read_text()
        assert list(daemon.state.glob("damaged-*")) == []
        assert daemon.settled(daemon.client.send("and on it goes").id) == ["delivered"]
