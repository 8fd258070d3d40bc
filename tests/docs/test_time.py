"""The commands of docs/how-to/quiet-hours.md, delay.md and repeat.md."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, blocks, steps
from tests.docs.test_backup import on_the_path, typed
from tests.harness import DaemonProcess, file, route, until

from tocsind.config import parse

NOW = datetime.now(UTC)
QUIET_NOW = f"""
[[quiet]]
when = {{ priority = ["low", "normal"] }}
from = "{NOW - timedelta(hours=2):%H:%M}"
until = "{NOW + timedelta(hours=3):%H:%M}"
zone = "UTC"
"""
TWO_TIERS = """
[[routes]]
when = { tier = "premium" }
to = ["local-file"]
continue = true

[[routes]]
to = ["signals-free"]
delay = "15m"
"""
REPEATED = file().replace('kind = "file"', 'kind = "file"\nrepeat = { urgent = "5m", most = 12 }')


@contextmanager
def typed_page(tmp_path: Path, page: str, config: str) -> Iterator[DaemonProcess]:
    """A daemon with this configuration, after all that the page tells the reader to type."""
    with DaemonProcess(tmp_path, config) as daemon:
        on_the_path(daemon)
        daemon.start()
        with Shell(tmp_path, daemon.env) as shell:
            for command, shown in steps(page):
                typed(shell, command, shown)
        yield daemon


def test_quiet_hours_page_prints_what_it_shows(tmp_path: Path) -> None:
    with typed_page(tmp_path, "how-to/quiet-hours.md", file() + route("local-file") + QUIET_NOW) as daemon:
        alerts = daemon.state / "alerts.jsonl"
        assert [json.loads(line)["title"] for line in alerts.read_text().splitlines()] == ["exchange is down"]
        daemon.configure(file() + route("local-file"))
        daemon.reload()
        until(lambda: alerts.read_text().count("\n") == 2)
        digest = json.loads(alerts.read_text().splitlines()[1])
    assert digest["title"] == "Quiet hours are over: 3 signals in one digest"
    assert "1 alert began and ended in the meantime (2 signals)." in digest["body"]
    assert list(digest["fields"]) == ["weekly report is ready"]


def test_delay_page_prints_what_it_shows(tmp_path: Path) -> None:
    with typed_page(tmp_path, "how-to/delay.md", file() + file("signals-free", "free.jsonl") + TWO_TIERS) as daemon:
        held = daemon.status()["held"]
    assert [(each["destination"], each["by"], each["deliveries"]) for each in held] == [("signals-free", "delay", 2)]


def test_repeat_page_prints_what_it_shows(tmp_path: Path) -> None:
    with typed_page(tmp_path, "how-to/repeat.md", REPEATED + route("local-file")) as daemon:
        assert daemon.status()["counters"]["acknowledgements"] == 2


@pytest.mark.parametrize("page", ["quiet-hours", "delay", "repeat"])
def test_configuration_of_the_page_is_valid(page: str) -> None:
    (block,) = [each.text for each in blocks(f"how-to/{page}.md") if each.language == "toml"]
    named = {"signals-premium", "signals-free", "phone", "local-file"} - tomllib.loads(block).get(
        "destinations", {}
    ).keys()
    rest = "".join(f'[destinations.{name}]\nkind = "file"\npath = "{name}.jsonl"\n' for name in named)
    parse(block + rest + ("" if "[[routes]]" in block else route("local-file")), "page.toml")
