"""The examples of docs/how-to/charts.md, run in their order: the first draws the chart for the others."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "charts.md").read_text()


def example(chapter: str, language: str, nth: int = 0) -> str:
    """A code block of a chapter."""
    section = TEXT.split(f"## {chapter}\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return blocks[nth]


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, discord("d", fake.webhooks[0]["url"]) + route("d")) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        process.env["PATH"] = f"{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process.start()


def run(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=daemon.env,
        cwd=daemon.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def message(daemon: DaemonProcess, fake: FakeProcess, nth: int) -> dict[str, Any]:
    """The nth message, once it is there: its embed's fields, colour and image, and its files."""
    until(lambda: len(fake.messages()) == nth)
    payload = fake.messages()[-1]["payload"]
    [embed] = payload["embeds"]
    fields = {field["name"]: field["value"].replace("\\", "") for field in embed.get("fields", [])}
    line = payload.get("content", "")
    files = [each["filename"] for each in payload.get("attachments", [])]
    return {
        "colour": embed["color"],
        "image": embed.get("image", {}).get("url"),
        "files": files,
        "line": line,
        **fields,
    }


def test_charts_page_examples_show_what_it_says(daemon: DaemonProcess, fake: FakeProcess) -> None:
    done = run(daemon, sys.executable, "-c", example("Open a trade", "python"))
    assert (done.stderr, done.stdout) == ("", "stored with its chart\n")
    opened = message(daemon, fake, 1)
    assert opened == {
        "colour": 0x2ECC71,
        "image": "attachment://chart.png",
        "files": ["chart.png"],
        "line": "🚨 ▲ BUY BTCUSDT · entry 64,000.5 · stop 63,360.5 (-1 %) · target 65,600.5 (+2.5 %)",
        "Risk / reward": "1 : 2.5",
        "Confidence": "93 %",
    }
    assert opened["line"] in " ".join(TEXT.split())
    assert f"Risk / reward {opened['Risk / reward']}" in " ".join(TEXT.split())

    assert run(daemon, "sh", "-c", example("Close it", "sh")).returncode == 0
    closed = message(daemon, fake, 2)
    assert (closed["Profit"], closed["colour"]) == ("+1,600 (+2.5 %)", 0x2ECC71)
    assert (closed["image"], closed["files"]) == ("attachment://chart.png", ["chart.png"])

    dry_run = run(daemon, "sh", "-c", example("Close it", "sh", nth=1))
    assert "chart.png goes along, and is shown as the image" in dry_run.stdout

    left = run(daemon, "sh", "-c", example("Files", "sh"))
    assert left.stderr == f"tocsin: {example('Files', 'text').strip()}\n"
    assert message(daemon, fake, 3)["files"] == []

    done = run(daemon, "sh", "-e", "-c", example("From another language", "sh"))
    assert (done.returncode, done.stderr) == (0, "")
    assert message(daemon, fake, 4)["files"] == ["trade-4711.png"]
