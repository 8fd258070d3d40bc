"""The README: its ten lines work, its program sends what its picture shows, and the picture is what arrives in Discord."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs.pictures.draw import draw
from tests.docs.blocks import DOCS, Shell, matches
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, route, until

README = (DOCS.parent / "README.md").read_text()
PICTURES = DOCS / "pictures"
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def block(chapter: str, language: str) -> str:
    """The first code block of a chapter in this language."""
    [text, *_] = re.findall(
        rf"```{language}\n(.*?)```", README.split(f"\n## {chapter}\n")[1].split("\n## ")[0], re.DOTALL
    )
    return str(text)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A fresh machine: no configuration, no webhook, its own places."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DISCORD_", "TOCSIN_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    return {
        **clean,
        "PATH": path,
        "TOCSIN_SOCKET": str(tmp_path / "t.sock"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
    }


def test_ten_lines_print_what_the_readme_shows(tmp_path: Path, env: dict[str, str]) -> None:
    activate, *lines = block("Ten lines", "sh").splitlines()
    assert (activate, len(lines)) == (". .venv/bin/activate", 9)  # the environment that runs this test stands in for it
    with Shell(tmp_path, env) as shell:
        code, said = shell.run("\n".join(lines))
    assert code == 0, said
    shown = block("Ten lines", "text")
    assert matches(shown, said), f"should say\n{shown}\nand says\n{said}"


def test_no_page_waits_until_the_daemon_is_healthy() -> None:
    """A degraded daemon answers and works; a loop on the exit code of `status` would not end."""
    for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")]:
        assert "until tocsin status" not in page.read_text(), page


@pytest.fixture
def payloads(tmp_path: Path, fake: FakeProcess) -> Iterator[list[dict[str, Any]]]:
    """What Discord receives when the README's program runs, and then a failed backup. Ids and times are fixed."""
    config = discord("d", fake.webhooks[0]["url"], username='"tocsin"') + route("d")
    with DaemonProcess(tmp_path, config) as daemon:
        daemon.start()
        fixed = 'id="01J9Z3NDEKTSV4RRFFQ69G5FAV", timestamp="2026-01-31T14:40:02Z"'
        program = block("From a program", "python").replace('"BUY BTCUSDT",', f'"BUY BTCUSDT", {fixed},')
        run(daemon, sys.executable, "-c", program)
        until(lambda: len(fake.messages()) == 1)
        backup = daemon.tocsin(
            *("send", "Nightly backup failed", "--priority", "high", "--source", "cron", "--tag", "backup"),
            *("--body", "pg_dump: error: connection to server failed: timeout expired"),
            *("--field", "host=db1", "--field", "exit code=2", "--field", "duration=31s"),
            *("--id", "01J9Z3Q0M5R8C1T7W2X4Y6Z9AB", "--timestamp", "2026-01-31T14:40:58Z"),
        )
        assert backup.returncode == 0, backup.stderr
        until(lambda: len(fake.messages()) == 2)
        yield [message["payload"] for message in fake.messages()]


def run(daemon: DaemonProcess, *words: str) -> None:
    done = subprocess.run(words, env=daemon.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_picture_shows_what_arrives_in_discord(payloads: list[dict[str, Any]], tmp_path: Path) -> None:
    posted = json.dumps(payloads, indent=2, ensure_ascii=False) + "\n"
    posted = re.sub("<t:[0-9]+", "<t:1769870492", posted)  # 90 s after the signal, which expires then
    new = tmp_path / "messages.json"
    new.write_text(posted)
    assert posted == (PICTURES / "messages.json").read_text(), f"cp {new} docs/pictures/, and draw the picture again"


def test_picture_is_drawn_from_its_payloads() -> None:
    drawn = draw(json.loads((PICTURES / "messages.json").read_text()))
    again = "python -m docs.pictures.draw < docs/pictures/messages.json > docs/pictures/messages.svg"
    assert drawn == (PICTURES / "messages.svg").read_text(), again


def test_figures_are_those_of_the_benchmarks() -> None:
    chapter = README.split("\n## Figures\n")[1].split("\n## ")[0]
    figures = re.findall(r"\b[0-9.]+ (?:us|s)\b", chapter)
    benchmarks = (DOCS / "benchmarks.md").read_text()
    assert len(figures) == 3
    assert [each for each in figures if f" {each} " not in benchmarks] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    broken = [
        f"{page.relative_to(DOCS.parent)}: {link}"
        for page in pages
        for link in LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL))
        if not (page.parent / link).exists()
    ]
    assert broken == []
