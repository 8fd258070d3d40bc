"""The spool between a real client and a real daemon: spooled signals arrive once, oldest first, and unreadable files are reported."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.assertions import written
from tests.harness import PATIENCE, DaemonProcess, file, route, until
from tests.outboxes import files, held

import tocsin
from tocsin import Client, Signal
from tocsin.ids import new_id

CONFIG = file() + route("local-file")


def titles(daemon: DaemonProcess) -> list[str]:
    """The titles that arrived, in order."""
    path = daemon.state / "alerts.jsonl"
    return [copy.title for copy in written(path)] if path.exists() else []


def drop(daemon: DaemonProcess, content: str, name: str = "by-hand.jsonl") -> None:
    """Spool a file as a shell script does: write beside, rename."""
    daemon.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    (daemon.spool / f".{name}").write_text(content)
    (daemon.spool / f".{name}").rename(daemon.spool / name)


def client(daemon: DaemonProcess, **settings: Any) -> Client:
    return Client(daemon.socket, **{"timeout": PATIENCE, "spool": daemon.spool, **settings})


def waits(daemon: DaemonProcess) -> int:
    return int(daemon.status()["spool"]["files"])


def test_signals_spooled_before_first_start_arrive_once_in_order(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    receipts = [client(daemon).send(f"{n}") for n in range(20)]
    assert {receipt.state for receipt in receipts} == {"spooled"}
    with daemon.start():
        daemon.wait_for("spool-imported")
        assert set(daemon.settled(*(receipt.id for receipt in receipts))) == {"delivered"}
        assert titles(daemon) == [f"{n}" for n in range(20)]
        assert waits(daemon) == 0
        assert daemon.client.why(receipts[0].id)["uid"] == os.geteuid()
        assert daemon.status()["health"] == "ok"


def test_restart_imports_no_spooled_signal_twice(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        stored = Signal("stored, and not answered in time")
        assert daemon.client.send(stored).state == "stored"
        daemon.settled(stored.id)  # else the next daemon may write it again
        daemon.kill()
        with client(daemon) as late:
            late.send_many([stored, Signal("new")])
        daemon.start()
        assert daemon.wait_for("duplicate")["id"] == stored.id
        until(lambda: len(titles(daemon)) == 2)
    assert titles(daemon) == ["stored, and not answered in time", "new"]


def test_signals_spooled_while_daemon_hangs_are_imported_when_it_resumes(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        with client(daemon) as program:
            assert program.send("before").state == "stored"
            program.timeout = 0.2
            daemon.process.send_signal(signal.SIGSTOP)
            asked, fresh = program.send("by the outbox"), client(daemon, timeout=0.2).send("on a new connection")
            later = program.send("by the outbox, when no daemon had answered")
            daemon.process.send_signal(signal.SIGCONT)
        assert [fresh.state, later.state] == ["spooled", "spooled"]
        until(lambda: len(titles(daemon)) == 4)
        assert set(daemon.settled(asked.id, fresh.id, later.id)) == {"delivered"}


def test_new_spool_file_is_imported_at_once_also_after_folder_was_recreated(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        drop(daemon, '{"title": "one"}\n')
        daemon.wait_for("spool-imported")
        shutil.rmtree(daemon.spool)
        drop(daemon, '{"title": "two"}\n')
        daemon.wait_for("spool-imported", nth=2)


def test_spool_line_without_id_is_stored_once_from_two_copies(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        daemon.kill()
        drop(daemon, '{"title": "by hand"}\n')
        held, times = (daemon.spool / "by-hand.jsonl"), (daemon.spool / "by-hand.jsonl").stat().st_mtime_ns
        for taken in ("accepted", "duplicate"):
            os.utime(held, ns=(times, times))
            daemon.start()
            assert daemon.wait_for(taken)
            daemon.wait_for("spool-imported")
            daemon.kill()
            drop(daemon, '{"title": "by hand"}\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{oops\n", "line 1: line: is no JSON object"),
        ("", "it is empty"),
        ('{"title": "good"}\n{"priority": "high"}\n', "line 2: title: is required"),
    ],
)
def test_unreadable_spool_file_is_quarantined_with_reason_in_status(tmp_path: Path, content: str, said: str) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        drop(daemon, content)
        assert said in daemon.wait_for("quarantined", file="by-hand.jsonl")["reason"]
        status = daemon.status()
        assert status["health"] == "degraded"
        assert any(
            "1 file of the spool could not be imported" in problem and said in problem for problem in status["problems"]
        )
        assert (status["spool"]["files"], status["spool"]["quarantined"]) == (0, 1)
        assert said in status["spool"]["reason"]
        assert (daemon.spool / "quarantine" / "by-hand.jsonl").read_text() == content
        if "good" in content:
            until(lambda: "good" in titles(daemon))
        for left in (daemon.spool / "quarantine").iterdir():
            left.unlink()
        assert daemon.status()["health"] == "ok"


def test_spool_file_with_invalid_name_is_quarantined_under_another_name(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        (daemon.spool / ".x").write_text('{"\\ud800": 1}\n')
        (daemon.spool / ".x").rename(daemon.spool / os.fsdecode(b"\xff.jsonl"))
        daemon.wait_for("quarantined")
        assert daemon.status()["spool"]["quarantined"] == 1


def test_status_warns_of_spool_that_daemon_does_not_read(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        Client(tmp_path / "missing.sock", spool=tmp_path / "elsewhere").send("in another spool")
        daemon.env["TOCSIN_SPOOL"] = str(tmp_path / "elsewhere")
        shown = "".join(daemon.tocsin("status").stdout.split())  # long lines are folded, anywhere in a path
        assert f"1filein{tmp_path}/elsewhere,whichthisdaemondoesnotread" in shown
        daemon.env["TOCSIN_SPOOL"] = str(daemon.spool)
        assert "does not read" not in daemon.tocsin("status").stdout


def test_spool_file_with_unknown_destination_goes_by_the_routes(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, CONFIG).start() as daemon:
        drop(daemon, json.dumps({"title": "late", "to": ["other"], "id": new_id()}))
        assert daemon.wait_for("unknown-destination")["to"] == ["other"]
        until(lambda: titles(daemon) == ["late"])


def _link(daemon: DaemonProcess) -> None:
    (daemon.folder / "secret").write_text('{"title": "secret"}\n')
    (daemon.spool / "link.jsonl").symlink_to(daemon.folder / "secret")


def _strangers(daemon: DaemonProcess) -> None:
    (daemon.spool / "theirs.jsonl").write_text('{"title": "theirs"}\n')
    os.chown(daemon.spool / "theirs.jsonl", 12345, 12345)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_link, "cannot be opened as a file"),
        pytest.param(
            _strangers,
            "uid 12345",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away"),
        ),
    ],
)
def test_spool_links_and_files_of_strangers_are_not_imported(
    tmp_path: Path, make: Callable[[DaemonProcess], None], said: str
) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    daemon.spool.mkdir(mode=0o700, parents=True)
    make(daemon)
    with daemon.start():
        assert said in daemon.wait_for("quarantined")["reason"]
        assert daemon.status()["counters"]["spool_signals_taken"] == 0


def test_spool_writable_by_others_is_not_imported_and_reported(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    drop(daemon, '{"title": "forged"}\n')
    daemon.spool.chmod(0o777)
    with daemon.start():
        daemon.wait_for("spool-problem")
        assert any("chmod 700" in problem for problem in daemon.status()["problems"])
        assert daemon.status()["counters"]["spool_signals_taken"] == 0
        daemon.spool.chmod(0o700)
        daemon.wait_for("spool-imported")
        assert daemon.status()["health"] == "ok"


def test_signal_expired_in_spool_is_never_posted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    now, booted = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    with monkeypatch.context() as earlier:
        earlier.setattr("tocsin.outbox.time.time_ns", lambda: now - 61 * 10**9)
        earlier.setattr("tocsin.outbox.time.clock_gettime_ns", lambda _: booted - 61 * 10**9)
        late = client(daemon).send("late", expires=60)
    timely = client(daemon).send("timely", expires=60)
    with daemon.start():
        daemon.wait_for("spool-imported")
        assert daemon.settled(late.id, timely.id) == ["dropped", "delivered"]
        assert titles(daemon) == ["timely"]
        assert daemon.status()["counters"]["deliveries_expired"] == 1


def test_client_and_daemon_use_spool_from_environment(tmp_path: Path) -> None:
    spool = tmp_path / "elsewhere"
    with DaemonProcess(tmp_path, CONFIG, env={"TOCSIN_SPOOL": str(spool)}) as daemon:
        sent = daemon.tocsin("send", "spooled by the command")
        assert (sent.returncode, "spooled" in sent.stderr) == (0, True)
        assert len(files(spool)) == 1
        daemon.start()
        assert daemon.settled(sent.stdout.strip()) == ["delivered"]
        assert daemon.status()["spool"]["path"] == str(spool)


def test_client_and_daemon_use_spool_below_configured_state_folder(tmp_path: Path) -> None:
    config = f'[daemon]\nsocket = "{tmp_path / "t.sock"}"\nstate = "{tmp_path / "configured"}"\n{CONFIG}'
    with DaemonProcess(tmp_path, config) as daemon:
        for name in ("TOCSIN_SOCKET", "STATE_DIRECTORY"):
            del daemon.env[name]
        daemon.env["TOCSIN_CONFIG"] = str(daemon.config)
        sent = daemon.tocsin("send", "spooled by the command")
        assert len(files(tmp_path / "configured" / "spool")) == 1
        daemon.start()
        assert daemon.settled(sent.stdout.strip()) == ["delivered"]


def test_ten_thousand_spool_files_are_imported_in_order_while_socket_serves(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, CONFIG)
    drop(daemon, "")
    (daemon.spool / "by-hand.jsonl").unlink()
    count = 3000
    for n in range(count):
        (daemon.spool / f"{n:06d}.jsonl").write_text(json.dumps({"title": f"{n}", "id": new_id()}) + "\n")
    with daemon.start():
        with Client(daemon.socket, timeout=PATIENCE, strict=True) as program:
            assert program.send("another signal", priority="urgent").state == "stored"
        until(lambda: waits(daemon) == 0)
        until(lambda: len(titles(daemon)) == count + 1)
    arrived = [title for title in titles(daemon) if title != "another signal"]
    assert arrived == [f"{n}" for n in range(count)]


def test_full_disk_leaves_spool_unchanged(tmp_path: Path) -> None:
    daemon = DaemonProcess(tmp_path, '[daemon]\nreserve = "900TiB"\n' + CONFIG)
    receipt = client(daemon).send("patient")
    with daemon.start():
        daemon.wait_for("spool-problem")
        assert len(held(daemon.spool)) == 1
        daemon.configure(CONFIG)
        daemon.reload()
        daemon.wait_for("spool-imported")
        assert daemon.settled(receipt.id) == ["delivered"]
        with client(daemon) as program:
            assert program.send("now").state == "stored"
    assert isinstance(receipt, tocsin.Receipt)
