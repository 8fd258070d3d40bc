"""The commands and configurations of docs/how-to/monitor.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml
from tests.contracts.heartbeat_monitor import running_monitor
from tests.docs.blocks import DOCS, Shell, blocks, matches, steps
from tests.harness import DaemonProcess, discord, need, until

PAGE = "how-to/monitor.md"


def written(language: str) -> list[str]:
    return [block.text for block in blocks(PAGE) if block.language == language]


@pytest.fixture
def config() -> str:
    """The configurations of the page, with the destination that they name, on a free port."""
    ops = discord("ops", "http://127.0.0.1:9/api/webhooks/1/x") + '[[routes]]\nto = ["ops"]\n'
    return "".join(written("toml")).replace(":9464", ":0") + ops


def test_monitor_page_prints_what_it_shows(tmp_path: Path, config: str) -> None:
    need("curl")
    with running_monitor() as monitor, DaemonProcess(tmp_path, config) as daemon:
        (tmp_path / "heartbeat.url").write_text(monitor.url)
        (tmp_path / "heartbeat.url").chmod(0o600)
        daemon.env["PATH"] = f"{Path(sys.executable).parent}:{daemon.env['PATH']}"
        daemon.start()
        port = daemon.status()["http"]["listen"].rpartition(":")[2]
        until(lambda: daemon.status()["heartbeat"]["beats"] > 0)
        with Shell(tmp_path, daemon.env) as shell:
            for typed, shown in steps(PAGE):
                code, said = shell.run(typed.replace("9464", port))
                assert code == 0, f"{typed}\n{said}"
                assert shown is None or matches(shown, said), f"{typed}\nshould say\n{shown}\nand says\n{said}"
        assert (tmp_path / "tocsin.prom").read_text().startswith("# HELP tocsin_build_info")
        assert (tmp_path / "heartbeat.url").stat().st_mode & 0o777 == 0o600


def test_prometheus_example_matches_rules_file() -> None:
    (scrape,) = written("yaml")
    assert set(yaml.safe_load(scrape)) == {"rule_files", "scrape_configs"}
    (query,) = written("promql")
    promql_parser.parse(query)  # raises
    assert query.strip() in (DOCS.parent / "packaging/prometheus/alerts.rules.yml").read_text()


def test_monitor_page_names_only_existing_metrics(tmp_path: Path, config: str) -> None:
    named = set(re.findall(r"`(tocsin_\w+)`", (DOCS / PAGE).read_text()))
    (tmp_path / "heartbeat.url").write_text("http://127.0.0.1:9/x")
    (tmp_path / "heartbeat.url").chmod(0o600)
    config = '[shared]\nurl = "unix:///nowhere/engine.sock"\n' + config.replace('every    = "1m"', 'every = "1h"')
    with DaemonProcess(tmp_path, config).start() as daemon:
        text = daemon.client.request("metrics")["metrics"]["text"]
    assert named - set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) == set()
