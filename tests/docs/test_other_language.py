"""The clients of docs/how-to/other-language.md, each run as a program with a title for its argument."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.blocks import blocks
from tests.harness import PATIENCE, DaemonProcess, file, need, route, until

PAGE = "how-to/other-language.md"
CLIENTS = {
    "sh": ("sh", "socat"),
    "perl": ("perl",),
    "js": ("node",),
}  # language of the block: its program, and the programs that it calls
TITLE = 'Überlauf: "93 %" of C:\\tmp ' + "ⅸ" * 200  # quotes, a backslash, and more bytes than one byte of length counts

Send = Callable[[str], str]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        process.state.mkdir(mode=0o700)
        yield process


@pytest.fixture(params=list(CLIENTS))
def send(request: pytest.FixtureRequest, daemon: DaemonProcess, tmp_path: Path) -> Send:
    """What a client prints for a title."""
    [program, *_] = [need(each) for each in CLIENTS[request.param]]
    [text] = [block.text for block in blocks(PAGE) if block.language == request.param]
    script = tmp_path / f"client.{request.param}"
    script.write_text(text)
    places = {"TOCSIN_SOCKET": daemon.socket, "TOCSIN_SPOOL": str(daemon.spool)}

    def sent(title: str) -> str:
        done = subprocess.run(
            [program, script, title],
            env={**os.environ, "LC_ALL": "C.UTF-8", **places},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return sent


def delivered(daemon: DaemonProcess) -> list[str]:
    """The titles of all signals, once the first one has been delivered and none waits."""
    until(lambda: daemon.status()["counters"]["notifications_sent"] >= 1)
    until(lambda: daemon.status()["queue"]["depth"] == 0)
    rows: list[dict[str, Any]] = daemon.client.request("queue", state="sent")["deliveries"]
    return [row["title"] for row in rows]


def test_client_sends_every_byte_of_a_title(daemon: DaemonProcess, send: Send) -> None:
    daemon.start()
    assert "stored" in send(TITLE)
    assert delivered(daemon) == [TITLE]


def test_client_without_daemon_writes_a_file_that_the_daemon_reads(daemon: DaemonProcess, send: Send) -> None:
    assert send(TITLE) == "spooled"
    [written] = daemon.spool.iterdir()
    assert written.stat().st_mode & 0o777 == 0o640
    daemon.start()
    assert delivered(daemon) == [TITLE]


def test_client_of_a_hung_daemon_spools_and_the_signal_is_stored_once(daemon: DaemonProcess, send: Send) -> None:
    daemon.start()
    daemon.process.send_signal(signal.SIGSTOP)
    assert send("hung") == "spooled"
    daemon.process.send_signal(signal.SIGCONT)
    until(lambda: not list(daemon.spool.glob("*.jsonl")))
    assert delivered(daemon) == ["hung"]


def test_client_reports_a_signal_that_says_nothing(daemon: DaemonProcess, send: Send) -> None:
    daemon.start()
    assert "invalid-signal" in send("")
    assert not list(daemon.spool.glob("*.jsonl"))
