"""The spool between users: permissions of files and folders, with real users and a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import STRANGER, DaemonProcess, as_stranger, file, route, until
from tests.outboxes import files, share_spool

from tocsin import Client

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    name = Path(tempfile.mkdtemp(prefix="toc-"))
    name.chmod(0o755)
    yield name
    shutil.rmtree(name, ignore_errors=True)


@pytest.fixture
def daemon(folder: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(folder, file() + route("local-file"), {"TOCSIN_SPOOL": str(folder / "spool")}) as process:
        yield process


def sent(daemon: DaemonProcess, title: str, spool: Path | None = None) -> Callable[[], dict[str, Any]]:
    def send() -> dict[str, Any]:
        with Client(daemon.socket, spool=spool or daemon.folder / "spool") as client:
            receipt = client.send(title)
        return {"id": receipt.id, "state": receipt.state, "reason": receipt.reason}

    return send


def test_member_of_spool_group_spools_under_own_uid(daemon: DaemonProcess, folder: Path) -> None:
    share_spool(folder / "spool")
    receipt = as_stranger(sent(daemon, "from a member"))
    assert receipt["state"] == "spooled"
    daemon.start()
    assert daemon.settled(receipt["id"]) == ["delivered"]
    assert daemon.client.why(receipt["id"])["uid"] == STRANGER
    assert daemon.status()["health"] == "ok"


def test_member_cannot_change_spool_files_of_others(daemon: DaemonProcess, folder: Path) -> None:
    share_spool(folder / "spool")
    own = sent(daemon, "own")()
    [held] = files(folder / "spool")

    def attack() -> list[str]:
        refused = []
        for attempt in (held.unlink, lambda: held.rename(f"{held}.gone"), held.read_text, lambda: held.write_text("")):
            try:
                attempt()
            except PermissionError as error:
                refused.append(type(error).__name__)
        return refused

    assert as_stranger(attack) == ["PermissionError"] * 4
    daemon.start()
    assert daemon.settled(own["id"]) == ["delivered"]


def test_member_cannot_make_daemon_read_files_of_others(daemon: DaemonProcess, folder: Path) -> None:
    share_spool(folder / "spool")
    (folder / "secret").write_text('{"title": "secret"}\n')
    (folder / "secret").chmod(0o600)
    (folder / "roots").mkdir()

    def attack() -> bool:
        (folder / "spool" / "a.jsonl").symlink_to(folder / "secret")
        os.mkfifo(folder / "spool" / "b.jsonl")
        (folder / "spool" / "quarantine").symlink_to(folder / "roots")
        return True

    assert as_stranger(attack)
    daemon.start()
    until(lambda: bool(daemon.status()["problems"]))
    assert daemon.status()["counters"]["spool_signals_taken"] == 0
    assert list((folder / "roots").iterdir()) == []


def test_private_spool_refuses_stranger_with_reason(daemon: DaemonProcess, folder: Path) -> None:
    (folder / "spool").mkdir(mode=0o700)
    receipt = as_stranger(sent(daemon, "from a stranger"))
    assert receipt["state"] == "dropped"
    assert receipt["reason"].endswith("Permission denied")


def test_stranger_without_socket_access_is_refused_and_spools_nothing(daemon: DaemonProcess, folder: Path) -> None:
    daemon.start()
    own = folder / "his"
    own.mkdir()
    os.chown(own, STRANGER, STRANGER)
    receipt = as_stranger(sent(daemon, "from a stranger", own))
    assert (receipt["state"], "cannot connect to" in receipt["reason"]) == ("dropped", True)
    assert list(own.iterdir()) == []


def test_root_spools_files_that_daemon_of_user_can_read(daemon: DaemonProcess, folder: Path) -> None:
    """The daemon runs as the stranger here: it can read the file, and trusts root."""
    share_spool(folder / "spool", 0o700)
    os.chown(folder / "spool", STRANGER, STRANGER)
    assert sent(daemon, "from root")()["state"] == "spooled"
    [held] = files(folder / "spool")
    assert "from root" in as_stranger(lambda: held.read_bytes().decode(errors="replace"))


@pytest.mark.parametrize("first", ["owner", "member"])
def test_id_of_another_users_queued_signal_replaces_nothing(daemon: DaemonProcess, folder: Path, first: str) -> None:
    share_spool(folder / "spool")
    id_ = "01JD0000000000000000000000"

    def send(title: str) -> str:
        with Client(daemon.socket, spool=folder / "spool") as client:
            return client.send(title, id=id_).state

    def forge() -> str:
        return str(as_stranger(lambda: send("forged")))

    states = [forge(), send("original")] if first == "member" else [send("original"), forge()]
    assert states == ["spooled", "spooled"]
    daemon.start()
    daemon.wait_for("sent", nth=2)
    lines = [json.loads(line) for line in (daemon.state / "alerts.jsonl").read_text().splitlines()]
    assert sorted(line["title"] for line in lines) == ["forged", "original"]
    assert len({line["id"] for line in lines}) == 2
    assert daemon.wait_for("foreign-id")["id"] == id_
