"""A file goes along by a copy in the spool, on disk before the signal is told of; whatever is wrong with it, the signal goes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.servers import Serve, answering, silent, stored
from tests.harness import PATIENCE, STRANGER
from tests.outboxes import delete_when_listed
from tests.outboxes import held as waiting

from tocsin import Client, Signal, attachments

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    path = tmp_path / "chart of BTC.png"
    path.write_bytes(PNG)
    return path


def held(spool: Path) -> dict[str, bytes]:
    """What lies in the folder, by name."""
    return {path.name: path.read_bytes() for path in (spool / "attachments").iterdir()}


def test_attachment_is_on_disk_under_the_signals_id_before_the_request(serve: Serve, spool: Path, chart: Path) -> None:
    seen: list[dict[str, bytes]] = []

    def look(request: dict[str, Any]) -> Any:
        seen.append(held(spool))
        return stored(request)

    server = serve(answering(look))
    with Client(server.path) as client:
        receipt = client.send("BUY", attach=chart)
    assert receipt.state == "stored"
    assert seen == [{f"{receipt.id}-chart_of_BTC.png": PNG}]
    [copy] = (spool / "attachments").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


def test_attachment_is_sent_as_a_name_without_its_path(serve: Serve, chart: Path) -> None:
    server = serve()
    with Client(server.path) as client:
        receipt = client.send("BUY", attach=str(chart))
    [request] = server.requests
    assert request["signal"]["attach"] == f"{receipt.id}-chart_of_BTC.png"
    assert str(chart.parent) not in str(request)


def test_attachment_is_in_the_spool_without_a_daemon(folder: Path, spool: Path, chart: Path) -> None:
    receipt = Client(folder / "s").send("BUY", attach=chart)
    assert receipt.state == "spooled"
    assert [signal["attach"] for signal in waiting(spool)] == [f"{receipt.id}-chart_of_BTC.png"]
    assert list(held(spool).values()) == [PNG]


def test_attachment_with_a_hung_daemon_takes_one_timeout(serve: Serve, spool: Path, chart: Path) -> None:
    server = serve(silent)
    begun = time.monotonic()
    with Client(server.path, timeout=0.05) as client:
        receipt = client.send("BUY", attach=chart)
    assert time.monotonic() - begun < PATIENCE
    assert receipt.state == "spooled"
    assert list(held(spool)) == [
        f"{receipt.id}-chart_of_BTC.png"
    ]  # under the same id: once it is there twice, it is taken once


def test_send_many_attaches_each_signals_own_file(serve: Serve, spool: Path, chart: Path) -> None:
    server = serve()
    with Client(server.path) as client:
        receipts = client.send_many([Signal("A", attach=chart), Signal("B"), {"title": "C", "attach": str(chart)}])
    assert [receipt.state for receipt in receipts] == ["stored"] * 3
    assert held(spool) == {f"{receipts[n].id}-chart_of_BTC.png": PNG for n in (0, 2)}


def test_signal_that_is_sent_again_has_one_file(serve: Serve, spool: Path, chart: Path) -> None:
    server = serve()
    signal = Signal("BUY", attach=chart)
    with Client(server.path) as client:
        client.send(signal)
        client.send(signal)
    assert signal.attach == str(chart)
    assert len(held(spool)) == 1


def test_attachment_from_proc_is_read(serve: Serve, spool: Path) -> None:
    with Client(serve().path) as client:
        client.send("BUY", attach="/proc/self/cmdline")
    assert list(held(spool).values()) == [Path("/proc/self/cmdline").read_bytes()]


def gone(place: Path) -> Path:
    return place / "nothing.png"


def folder_itself(place: Path) -> Path:
    return place


def too_large(place: Path) -> Path:
    path = place / "large.png"
    with path.open("wb") as file:
        file.truncate(attachments.MOST_BYTES + 1)
    return path


def endless(_: Path) -> Path:
    return Path("/dev/zero")


def pipe(place: Path) -> Path:
    os.mkfifo(place / "pipe.png")
    return place / "pipe.png"


def impossible(_: Path) -> str:
    return "a\0b.png"


def unset(_: Path) -> str:
    return ""  # --attach "$CHART"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (gone, "nothing.png is not attached: No such file or directory"),
        (folder_itself, "it is not a regular file"),
        (too_large, "large.png is not attached: it is larger than 8 MiB"),
        (endless, "zero is not attached: it is not a regular file"),
        (pipe, "pipe.png is not attached: it is not a regular file"),
        (impossible, "is not attached: ValueError"),
        (unset, "file is not attached: No such file or directory"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.timeout(10)
def test_signal_is_sent_without_an_unreadable_attachment(
    serve: Serve, tmp_path: Path, make: Callable[[Path], Any], reason: str, strict: bool
) -> None:
    server = serve()
    with Client(server.path, strict=strict, timeout=5) as client:
        assert client.send("BUY", attach=make(tmp_path)).state == "stored"
    [request] = server.requests
    assert reason in request["signal"]["attach_note"]
    assert "attach" not in request["signal"]


def test_attachment_of_the_largest_size_is_sent(serve: Serve, spool: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * attachments.MOST_BYTES)
    with Client(serve().path, timeout=5) as client:
        client.send("BUY", attach=path)
    assert [len(content) for content in held(spool).values()] == [attachments.MOST_BYTES]


def test_receipt_of_spooled_signal_names_the_missing_attachment(folder: Path) -> None:
    receipt = Client(folder / "s").send("BUY", attach="nothing.png")
    assert receipt.state == "spooled"
    assert (receipt.reason or "").endswith("; nothing.png is not attached: No such file or directory")


def test_receipt_with_ack_none_names_the_missing_attachment(serve: Serve) -> None:
    with Client(serve().path, ack="none") as client:
        assert "nothing.png is not attached" in (client.send("BUY", attach="nothing.png").reason or "")


def test_attachments_folder_that_is_full_takes_no_more(
    serve: Serve, spool: Path, chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MOST_HELD", 2 * len(PNG))
    server = serve()
    with Client(server.path) as client:
        for _ in range(3):
            client.send("BUY", attach=chart)
    assert len(held(spool)) == 2
    assert "is full" in server.requests[-1]["signal"]["attach_note"]


def test_attachment_is_copied_though_another_vanishes_while_they_are_counted(
    serve: Serve, spool: Path, chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(serve().path) as client:
        client.send("BUY", attach=chart)
        [first] = held(spool)
        delete_when_listed(spool / attachments.FOLDER / first, monkeypatch)
        client.send("SELL", attach=chart)
    assert len(held(spool).keys() - {first}) == 1


def test_attachment_is_not_written_where_others_may_write_or_through_a_link(
    serve: Serve, spool: Path, chart: Path, tmp_path: Path
) -> None:
    server = serve()
    with Client(server.path) as client:
        client.send("BUY", attach=chart)
        (spool / "attachments").chmod(0o777)
        client.send("BUY", attach=chart)
        spool.chmod(0o777)
        client.send("BUY", attach=chart)
        spool.chmod(0o700)
        (spool / "attachments").rename(tmp_path / "elsewhere")
        (spool / "attachments").symlink_to(tmp_path / "elsewhere")
        client.send("BUY", attach=chart)
    notes = [request["signal"].get("attach_note", "") for request in server.requests]
    assert [bool(note) for note in notes] == [False, True, True, True]
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_client_makes_no_attachments_folder_in_a_shared_spool(serve: Serve, spool: Path, chart: Path) -> None:
    spool.mkdir()
    spool.chmod(0o3770)
    server = serve()
    with Client(server.path) as client:
        client.send("BUY", attach=chart)
    assert "attach_note" in server.requests[0]["signal"]
    assert not (spool / "attachments").exists()


@pytest.mark.parametrize("value", [3, [3], {"chart.png"}])
def test_attach_that_is_no_path_is_shown_as_text(value: Any) -> None:
    signal = Signal("BUY", attach=value)
    assert (signal.attach, list(signal.fields or {})) == (None, ["attach"])
    assert signal.input_notes == ["attach: cannot be read as a path; shown as text"]


def test_attach_path_may_be_bytes_or_in_a_list() -> None:
    for value in (b"chart.png", ["chart.png"], (Path("chart.png"),)):
        assert Signal("BUY", attach=value).attach == "chart.png"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b/chart.png", "chart.png"),
        ("größe & co.png", "gr__e___co.png"),
        ("..", "file"),
        (".hidden.png", "hidden.png"),
        ("a/", "file"),
        ("x" * 200 + ".png", "x" * 76 + ".png"),
        ("\udcff\n\"'\0.png", "_____.png"),
    ],
)
def test_attachment_name_has_plain_letters_only(path: str, name: str) -> None:
    assert attachments.plain_name(path) == name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands in to another user's spool")
@pytest.mark.parametrize("swapped", [False, True])
def test_root_gives_the_spools_owner_the_folder_it_made_and_no_other(
    spool: Path, chart: Path, monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    spool.mkdir(mode=0o700)
    os.chown(spool, STRANGER, STRANGER)
    (spool / "roots").mkdir()
    (spool / "roots" / "precious").touch()
    make = os.mkdir

    def make_and_swap(name: str, *arguments: int, **places: int) -> None:
        make(name, *arguments, **places)
        if swapped and name == attachments.FOLDER:
            (spool / name).rename(spool / "gone")
            (spool / "roots").rename(spool / name)

    monkeypatch.setattr(os, "mkdir", make_and_swap)
    with Client("/nowhere", spool=spool) as client:
        client.send("BUY", attach=chart)
    assert (spool / attachments.FOLDER).stat().st_uid == (0 if swapped else STRANGER)
