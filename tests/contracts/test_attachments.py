"""Attachments arrive unchanged with their signal after every fault that the signal survives, and never instead of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import STRANGER, DaemonProcess, FakeProcess, as_stranger, discord, file, route, until
from tests.outboxes import share_spool

from tocsin import Client, Signal


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(shade: int = 0) -> bytes:
    """A picture of one pixel."""
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(bytes([0, shade, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess, spool: Path) -> Iterator[DaemonProcess]:
    """The daemon reads the spool of this process."""
    tables = discord("d", fake.webhooks[0]["url"], fallback='["local-file"]') + file() + route("d")
    with DaemonProcess(tmp_path / "daemon", tables, {"TOCSIN_SPOOL": str(spool)}) as process:
        process.spool = spool
        yield process.start()


def write(folder: Path, name: str = "chart.png", content: bytes | None = None) -> Path:
    path = folder / name
    path.write_bytes(png() if content is None else content)
    return path


def files(message: dict[str, Any]) -> dict[str, str]:
    """The files of a message: name and content."""
    return {each["filename"]: each["sha256"] for each in message["payload"].get("attachments", [])}


def attachment_note(embed: dict[str, Any]) -> str | None:
    """The line of an embed about files that are missing from the message."""
    found: list[str] = [field["value"] for field in embed.get("fields", []) if field["name"] == "Attachment"]
    return found[0].replace("\\", "") if found else None


def test_chart_arrives_unchanged_and_is_shown_in_embed(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    receipt = daemon.client.send("BUY BTCUSDT", action="BUY", attach=write(tmp_path))
    assert (receipt.state, receipt.reason) == ("stored", None)
    assert daemon.settled(receipt.id) == ["delivered"]
    [message] = fake.messages()
    assert files(message) == {"chart.png": digest(png())}
    assert message["payload"]["embeds"][0]["image"] == {"url": "attachment://chart.png"}
    assert list((daemon.spool / "attachments").iterdir()) == []
    assert daemon.client.why(receipt.id)["signal"]["attach"] == "chart.png"


def test_attachment_that_is_no_picture_is_posted_beside_embed(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    receipt = daemon.client.send("Report", attach=write(tmp_path, "report.csv", b"a,b\n1,2\n"))
    assert daemon.settled(receipt.id) == ["delivered"]
    [message] = fake.messages()
    assert files(message) == {"report.csv": digest(b"a,b\n1,2\n")}
    assert "image" not in message["payload"]["embeds"][0]


def test_multipart_boundary_inside_attachment_does_not_end_the_part(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    nasty = b'\r\n--tocsin\r\n\r\n--\r\nContent-Disposition: form-data; name="payload_json"\r\n\r\n{}\0'
    receipt = daemon.client.send("BUY", attach=write(tmp_path, "a.bin", nasty))
    assert daemon.settled(receipt.id) == ["delivered"]
    assert files(fake.messages()[0]) == {"a.bin": digest(nasty)}


def test_chart_survives_kill_between_acceptance_and_delivery(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    fake.hold()
    path = write(tmp_path)
    receipt = daemon.client.send("BUY", attach=path)
    fake.await_held()
    daemon.kill()
    path.unlink()
    fake.release()
    daemon.start()
    assert daemon.settled(receipt.id) == ["delivered"]
    assert files(fake.messages()[-1]) == {"chart.png": digest(png())}


def test_attachment_without_daemon_waits_in_spool(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    daemon.stop()
    path = write(tmp_path)
    receipt = Client(daemon.socket).send("BUY", attach=path)
    assert receipt.state == "spooled"
    path.unlink()
    daemon.start()
    assert daemon.settled(receipt.id) == ["delivered"]
    assert files(fake.messages()[0]) == {"chart.png": digest(png())}


def test_charts_with_equal_names_share_a_message_and_stay_distinct(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    fake.hold()
    first = daemon.client.send("first")
    fake.await_held()
    signals = []
    for shade in range(3):
        (tmp_path / str(shade)).mkdir()
        signals.append(Signal(f"n{shade}", attach=write(tmp_path / str(shade), content=png(shade))))
    receipts = daemon.client.send_many([*signals, Signal("n3")])
    until(lambda: daemon.status()["queue"]["depth"] == 5)
    fake.release()
    assert set(daemon.settled(first.id, *(receipt.id for receipt in receipts))) == {"delivered"}
    content = {name: sha for message in fake.messages()[1:] for name, sha in files(message).items()}
    shown = {
        alert.title: content[alert.embed["image"]["url"].removeprefix("attachment://")]
        for alert in fake.alerts()[1:]
        if "image" in alert.embed
    }
    assert shown == {f"n{shade}": digest(png(shade)) for shade in range(3)}
    assert len(fake.messages()) == 2


def test_large_attachments_do_not_share_a_message(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    fake.hold()
    first = daemon.client.send("first")
    fake.await_held()
    large = [write(tmp_path, f"{n}.bin", bytes([n]) * (6 * 2**20)) for n in range(2)]
    receipts = daemon.client.send_many([Signal(path.name, attach=path) for path in large])
    fake.release()
    assert set(daemon.settled(first.id, *(receipt.id for receipt in receipts))) == {"delivered"}
    assert [list(files(message)) for message in fake.messages()] == [[], ["0.bin"], ["1.bin"]]


def test_attachment_missing_from_store_is_reported_in_message(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    fake.hold()
    daemon.client.send("first")
    fake.await_held()
    receipt = daemon.client.send("second", attach=write(tmp_path))
    (daemon.state / "attachments" / receipt.id).unlink()
    fake.release()
    assert daemon.settled(receipt.id) == ["delivered"]
    message = fake.messages()[1]
    assert attachment_note(message["payload"]["embeds"][0]) == "chart.png is not attached: it is not there any more"
    assert files(message) == {}


def test_attachment_too_large_for_discord_is_left_out_and_reported(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    fake.script({"behaviour": "status", "status": 413, "code": 40005, "message": "Request entity too large"})
    receipt = daemon.client.send("BUY", action="BUY", attach=write(tmp_path))
    assert daemon.settled(receipt.id) == ["delivered"]
    [message] = fake.messages()
    assert files(message) == {}
    words = message["payload"]["embeds"][0]["description"].replace("\\", "")
    assert "Attachment: chart.png is not attached: this is the form after a refusal" in words
    [attempt, _] = daemon.client.why(receipt.id)["deliveries"][0]["attempts"]
    assert "413 from Discord: too large" in attempt["reason"]


def test_file_destination_names_attachment(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    fake.control("POST", "delete")
    receipt = daemon.client.send("BUY", attach=write(tmp_path))
    assert daemon.settled(receipt.id) == ["delivered"]
    assert '"attach":"chart.png"' in (daemon.state / "alerts.jsonl").read_text()


def test_daemon_opens_only_files_of_the_incoming_folder(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    first = daemon.client.send("first", attach=write(tmp_path))  # the folder is there
    (daemon.spool / "attachments" / "link.png").symlink_to(daemon.config)
    write(daemon.spool, ".precious")
    names = ["../.precious", "/etc/hostname", "nothing.png", "link.png", 'a"b\r\n.png']
    receipts = [daemon.client.request("send", signal={"title": "BUY", "attach": name})["receipt"] for name in names]
    assert {receipt["state"] for receipt in receipts} == {"stored"}
    assert (daemon.spool / ".precious").exists()
    assert all("is not attached" in receipt["reason"] for receipt in receipts)
    assert set(daemon.settled(first.id, *(receipt["id"] for receipt in receipts))) == {"delivered"}
    embeds = fake.embeds()[1:]
    assert [attachment_note(embed) for embed in embeds] == [receipt["reason"] for receipt in receipts]
    assert [files(message) for message in fake.messages()] == [{"chart.png": digest(png())}] + [{}] * (
        len(fake.messages()) - 1
    )
    assert daemon.status()["counters"]["attachments_left"] == len(names)


def test_raw_request_names_attachment_in_incoming_folder(
    daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path
) -> None:
    daemon.client.send("first", attach=write(tmp_path))
    (daemon.spool / "attachments" / "from-lua.png").write_bytes(png(7))
    receipt = daemon.client.request("send", signal={"title": "BUY", "attach": "from-lua.png"})["receipt"]
    assert daemon.settled(receipt["id"]) == ["delivered"]
    assert files(fake.messages()[-1]) == {"from-lua.png": digest(png(7))}


def test_signal_sent_twice_has_one_chart(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    signal = Signal("BUY", attach=write(tmp_path))
    states = [daemon.client.send(signal).state for _ in range(2)]
    assert states == ["stored", "duplicate"]
    assert daemon.settled(signal.id) == ["delivered"]
    assert [files(message) for message in fake.messages()] == [{"chart.png": digest(png())}]
    assert list((daemon.spool / "attachments").iterdir()) == []


def test_stored_attachment_is_counted_and_deleted_after_delivery(daemon: DaemonProcess, tmp_path: Path) -> None:
    receipt = daemon.client.send("BUY", attach=write(tmp_path))
    assert "kept    1 attachment, 0.0 of 1,024 MiB" in daemon.tocsin("status").stdout
    kept = daemon.status()["storage"]["attachments"]
    assert (kept["files"], kept["bytes"]) == (1, len(png()))
    assert daemon.settled(receipt.id) == ["delivered"]
    daemon.stop()
    daemon.start()  # the daemon checks at its start, and every minute
    until(lambda: daemon.status()["storage"]["attachments"]["files"] == 0)
    assert list((daemon.state / "attachments").iterdir()) == []


def test_send_command_reports_rejected_attachments(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = daemon.tocsin("send", "BUY", "--attach", str(tmp_path / "nothing.png"))
    assert done.returncode == 0
    assert done.stderr == "tocsin: stored: nothing.png is not attached: No such file or directory\n"
    assert "nothing.png is not attached" in daemon.tocsin("why", done.stdout.strip()).stdout


def test_json_lines_of_send_command_attach_files(daemon: DaemonProcess, fake: FakeProcess, tmp_path: Path) -> None:
    done = daemon.tocsin("send", "--json-lines", "-", stdin=f'{{"title": "BUY", "attach": "{write(tmp_path)}"}}\n')
    assert daemon.settled(done.stdout.strip()) == ["delivered"]
    assert files(fake.messages()[0]) == {"chart.png": digest(png())}


def test_dry_run_shows_attachment_and_copies_nothing(daemon: DaemonProcess, tmp_path: Path) -> None:
    said = daemon.tocsin("test", "BUY", "--attach", str(write(tmp_path))).stdout
    assert "chart.png goes along, and is shown as the image" in said
    assert "| [chart.png]" in said
    assert not (daemon.spool / "attachments").exists()
    said = daemon.tocsin("test", "BUY", "--attach", str(tmp_path)).stdout
    assert "is not attached: it is not a regular file" in said


# --- between users ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(fake: FakeProcess) -> Iterator[DaemonProcess]:
    """A daemon whose spool a group shares, in a folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="toc-"))
    folder.chmod(0o755)
    share_spool(folder / "spool")
    tables = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(folder, tables, {"TOCSIN_SPOOL": str(folder / "spool")}) as process:
        process.spool = folder / "spool"
        yield process.start()
    shutil.rmtree(folder, ignore_errors=True)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@root_only
def test_member_attaches_own_chart_through_shared_spool(shared: DaemonProcess, fake: FakeProcess) -> None:
    until((shared.spool / "attachments").is_dir)
    path = write(shared.folder)

    def send(*, running: bool = False) -> list[Any]:
        socket = shared.socket if running else str(shared.folder / "missing.sock")
        receipt = Client(socket, spool=shared.spool).send("from a member", attach=path)
        return [receipt.id, receipt.state, receipt.reason]

    id_, state, reason = as_stranger(send)
    assert (state, "is not attached" in reason) == ("spooled", False)
    until(lambda: shared.status()["counters"]["signals_accepted"] == 1)
    assert shared.settled(id_) == ["delivered"]
    assert shared.client.why(id_)["uid"] == STRANGER
    assert files(fake.messages()[0]) == {"chart.png": digest(png())}


@root_only
def test_member_cannot_attach_file_of_another_user(shared: DaemonProcess, fake: FakeProcess) -> None:
    until((shared.spool / "attachments").is_dir)
    (shared.spool / "attachments" / "roots.png").write_bytes(png(9))

    def attack() -> list[str]:
        letter = shared.spool / ".a.jsonl"
        letter.write_text('{"title": "mine", "attach": "roots.png"}\n')
        letter.rename(shared.spool / "a.jsonl")
        return []

    as_stranger(attack)
    until(lambda: bool(fake.messages()))
    [message] = fake.messages()
    assert files(message) == {}
    said = attachment_note(message["payload"]["embeds"][0])
    assert said == f"roots.png is not attached: it belongs to uid 0, and uid {STRANGER} sent it"
    until(lambda: not (shared.spool / "a.jsonl").exists())
    assert (shared.spool / "attachments" / "roots.png").exists()  # nor deleted
