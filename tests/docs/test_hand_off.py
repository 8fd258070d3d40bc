"""The examples of docs/how-to/hand-off.md."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, need, route, until

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "hand-off.md").read_text()


def example(chapter: str, language: str, nth: int = 0) -> str:
    """A code block of a chapter."""
    section = TEXT.split(f"## {chapter}\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return blocks[nth]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        process.env["PATH"] = f"{tmp_path}:{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process.start()


def run(daemon: DaemonProcess, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={**daemon.env, **env},
        cwd=daemon.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def arrived(daemon: DaemonProcess) -> dict[str, Any]:
    """The only signal that came, once it has been delivered."""
    until(lambda: daemon.status()["counters"]["notifications_sent"] == 1)
    [row] = daemon.client.request("queue", state="sent")["deliveries"]
    found: dict[str, Any] = daemon.client.why(row["id"])["signal"]
    return found


def test_shell_script_sends_alert_of_full_disk(daemon: DaemonProcess) -> None:
    done = run(daemon, "sh", "-c", example("From a shell script", "sh"), LIMIT="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Disk is \d+ % full", arrived(daemon)["title"])


def test_python_script_sends_its_signal(daemon: DaemonProcess) -> None:
    done = run(daemon, sys.executable, "-c", example("From Python", "python"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (arrived(daemon)["title"], arrived(daemon)["price"]) == ("BUY BTCUSDT", 64000.5)


def test_cron_line_sends_alert_of_failed_backup(daemon: DaemonProcess) -> None:
    backup = daemon.folder / "backup-database"
    backup.write_text("#!/bin/sh\necho cannot connect >&2\nexit 2\n")
    backup.chmod(0o700)
    *_, line = example("From cron", "crontab").splitlines()
    command = line.split(maxsplit=5)[5]
    assert "%" not in command  # cron ends the line there
    # the environment of a cron job, with the programs and the daemon of this test
    given = {name: daemon.env[name] for name in ("PATH", "TOCSIN_SOCKET", "STATE_DIRECTORY")}
    job = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"HOME": str(daemon.folder), "LOGNAME": "root", "SHELL": "/bin/sh", **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (job.returncode, job.stdout, job.stderr) == (2, "", "cannot connect\n")
    alert = arrived(daemon)
    assert alert["title"].startswith("backup-database failed with exit code 2 after ")
    assert (alert["priority"], alert["body"]) == ("urgent", "cannot connect")


def test_logging_handler_sends_failed_order(daemon: DaemonProcess) -> None:
    done = run(daemon, sys.executable, "-c", example("From logging", "python"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    alert = arrived(daemon)
    assert (alert["title"], alert["priority"], alert["tags"]) == ("order 4711 failed", "high", ["orders"])


def test_socat_example_sends_every_byte(daemon: DaemonProcess) -> None:
    need("socat")
    done = run(daemon, "sh", "-c", example("From anything else", "sh"))
    assert '"state":"stored"' in done.stdout.replace(" ", "")
    assert arrived(daemon)["title"] == "hello from socat: 90 % für db1"


def test_file_written_by_hand_is_delivered(daemon: DaemonProcess) -> None:
    done = run(daemon, "sh", "-e", "-c", example("From anything else", "sh", nth=1))
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(daemon)["title"] == "hello from a file"
