"""The spool as the client writes it: whole files, private, bounded, and receipts that say the truth about them."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, refusing, silent

import tocsin
from tocsin import Client, Signal
from tocsin import spool as room


def held(spool: Path) -> list[dict[str, Any]]:
    """What lies there, oldest first."""
    return [json.loads(line) for file in sorted(spool.iterdir()) for line in file.read_bytes().splitlines()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_a_daemon_a_signal_is_spooled_whole_under_its_id(folder: Path, spool: Path) -> None:
    receipt = Client(folder / "s").send("BUY", body="line\nline", fields={"größe": 1}, timestamp=1700000000)
    assert (receipt.state, receipt.accepted, receipt.durable) == ("spooled", True, True)
    assert "nothing is there" in (receipt.reason or "")
    assert held(spool) == [
        {"title": "BUY", "body": "line\nline", "fields": {"größe": 1}, "timestamp": 1700000000.0, "id": receipt.id}
    ]


def test_what_was_sent_and_not_answered_is_spooled_under_the_same_id(serve: Serve, spool: Path) -> None:
    server = serve(silent)
    with Client(server.path, timeout=0.05) as client:
        receipt = client.send("BUY")
    assert receipt.state == "spooled"
    assert [each["id"] for each in held(spool)] == [receipt.id]


def test_a_batch_is_one_file(folder: Path, spool: Path) -> None:
    receipts = Client(folder / "s").send_many([Signal(f"{n}") for n in range(20)])
    assert len(list(spool.iterdir())) == 1
    assert [each["id"] for each in held(spool)] == [receipt.id for receipt in receipts]


def test_files_sort_in_the_order_in_which_they_were_written(folder: Path, spool: Path) -> None:
    for n in range(20):
        Client(folder / "s").send(f"{n}")
    assert [each["title"] for each in held(spool)] == [f"{n}" for n in range(20)]


def test_folders_and_files_are_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        Client(folder / "s", spool=folder / "a" / "spool").send("BUY")
    finally:
        os.umask(before)
    assert [mode(folder / "a"), mode(folder / "a" / "spool")] == [0o700, 0o700]
    assert [mode(file) for file in (folder / "a" / "spool").iterdir()] == [0o600]


def test_a_client_that_shall_not_spool_does_not(folder: Path, spool: Path) -> None:
    assert Client(folder / "s", spool=False).send("BUY").state == "dropped"
    with pytest.raises(tocsin.Unreachable):
        Client(folder / "s", strict=True).send("BUY")
    assert not spool.exists()


@pytest.mark.parametrize("kind", ["full", "invalid-signal"])
def test_what_the_daemon_decided_is_not_spooled(serve: Serve, spool: Path, kind: str) -> None:
    with Client(serve(answering(refusing(kind))).path) as client:
        assert client.send("BUY").accepted is False
    assert not spool.exists()


def test_a_socket_that_is_shut_to_us_is_no_reason_to_spool(folder: Path, spool: Path, monkeypatch: Any) -> None:
    def forbidden(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tocsin.connection._try", forbidden)
    assert Client(folder / "s").send("BUY").state == "dropped"
    assert not spool.exists()


@pytest.mark.parametrize("bound", ["MOST_FILES", "MOST_BYTES"])
def test_a_full_spool_says_so_and_what_it_holds_stays(
    folder: Path, spool: Path, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, bound, {"MOST_FILES": 3, "MOST_BYTES": 1200}[bound])
    receipts = [Client(folder / "s").send(f"{n}", body="x" * 300) for n in range(5)]
    assert [receipt.state for receipt in receipts] == ["spooled"] * 3 + ["dropped"] * 2
    assert "no daemon" in (receipts[-1].reason or "")
    assert "it is full, with 3 files" in (receipts[-1].reason or "")
    assert [each["title"] for each in held(spool)] == ["0", "1", "2"]


def test_files_of_other_peoples_making_count_too(folder: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_BYTES", 5000)
    spool.mkdir(mode=0o700)
    (spool / "by-hand.jsonl").touch()
    (spool / "twice.jsonl").touch()
    assert Client(folder / "s").send("BUY").state == "dropped"


def _a_file(place: Path) -> None:
    place.touch()


def _a_link(place: Path) -> None:
    (place.parent / "elsewhere").mkdir()
    place.symlink_to(place.parent / "elsewhere")


def _open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


@pytest.mark.parametrize("make", [_a_file, _a_link, _open_to_all])
def test_a_spool_that_the_daemon_would_not_read_is_not_written(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "spool")
    receipt = Client(folder / "s", spool=folder / "spool").send("BUY")
    assert receipt.state == "dropped"
    assert str(folder / "spool") in (receipt.reason or "")


def test_a_shared_spool_gives_its_files_to_the_group(folder: Path) -> None:
    (folder / "spool").mkdir()
    (folder / "spool").chmod(0o3770)
    assert Client(folder / "s", spool=folder / "spool").send("BUY").state == "spooled"
    assert [mode(file) for file in (folder / "spool").iterdir()] == [0o640]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_gives_what_it_spools_to_the_folders_owner(folder: Path) -> None:
    (folder / "spool").mkdir(mode=0o700)
    os.chown(folder / "spool", 12345, 12345)
    Client(folder / "s", spool=folder / "spool").send("BUY")
    assert [file.stat().st_uid for file in (folder / "spool").iterdir()] == [12345]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_disk_that_fails_leaves_nothing_and_is_told(
    folder: Path, spool: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    spool.mkdir(mode=0o700)
    monkeypatch.setattr(os, call, full)
    receipt = Client(folder / "s").send("BUY")
    monkeypatch.undo()
    assert receipt.state == "dropped"
    assert (receipt.reason or "").endswith("does not take it: No space left on device")
    assert list(spool.iterdir()) == []


def test_threads_spool_at_once_and_every_file_is_whole(folder: Path, spool: Path) -> None:
    client, receipts = Client(folder / "s"), list[tocsin.Receipt]()
    threads = [
        threading.Thread(target=lambda n=n: receipts.extend(client.send(f"{n} {m}") for m in range(20)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {receipt.state for receipt in receipts} == {"spooled"}
    assert sorted(each["id"] for each in held(spool)) == sorted(receipt.id for receipt in receipts)
