"""The examples of docs/how-to/trading.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route, until
from tests.trading.prices import quotes

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "how-to" / "trading.md").read_text()


def example(chapter: str, language: str = "python") -> str:
    """The first code block of a chapter."""
    section = TEXT.split(f"## {chapter}\n")[1].split("\n## ")[0]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        process.env["PATH"] = f"{Path(sys.executable).parent}:{process.env['PATH']}"
        yield process.start()


def run(daemon: DaemonProcess, *words: str) -> str:
    done = subprocess.run(
        words,
        env=daemon.env,
        cwd=daemon.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stderr.replace("44 signals\n", "")) == (0, "")
    return done.stdout


def delivered(daemon: DaemonProcess, count: int) -> list[dict[str, Any]]:
    """The signals that went, once so many did."""
    until(lambda: bool(daemon.status()["counters"]["notifications_sent"] >= count))
    rows = daemon.client.request("queue", state="sent", limit=1000)["deliveries"]
    return [daemon.client.why(row["id"])["signal"] for row in rows]


def test_several_strategies_are_weighed_and_alerted(daemon: DaemonProcess) -> None:
    said = run(daemon, sys.executable, "-c", example("One strategy, or several"))
    assert said.splitlines() == [
        "BTCUSDT BUY 0.93",
        "ETHUSDT SELL 0.55",
        "ETHUSDT is not alerted: its confidence counts 0.55 here, less than 0.7",
    ]
    [alert] = delivered(daemon, 1)
    assert (alert["title"], alert["tier"], alert["fields"]) == (
        "BUY BTCUSDT",
        "premium",
        {"stop": 63200, "target": 65600},
    )


def test_repeated_signals_are_alerted_once(daemon: DaemonProcess) -> None:
    for _ in range(2):
        run(daemon, sys.executable, "-c", example("Strategies that look back"))
    assert [alert["title"] for alert in delivered(daemon, 1)] == ["BUY BTCUSDT"]


def test_flush_waits_for_disk(daemon: DaemonProcess) -> None:
    assert run(daemon, sys.executable, "-c", example("Be sure before you trade")) in {"stored\n", "spooled\n"}


def test_example_strategy_reads_csv(daemon: DaemonProcess) -> None:
    (daemon.folder / "docs").symlink_to(ROOT / "docs")
    shutil.copy(quotes(), daemon.folder / "AAPL.csv")
    for command in example("An example strategy", "sh").splitlines():
        assert len(run(daemon, "sh", "-c", command).splitlines()) == 44
    assert len(delivered(daemon, 44)) == 44


def test_table_of_keys_names_each_key() -> None:
    from tocsin.trading.settings import _ALL

    section = TEXT.split("## The keys of the configuration\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(.+?)`", "".join(rows))) == sorted(_ALL)
