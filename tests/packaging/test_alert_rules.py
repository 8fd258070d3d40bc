"""The rules for Prometheus and the dashboard for Grafana: they are well formed, and name only metrics of a real `/metrics`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tests.contracts.heartbeat_monitor import HEARTBEAT, running_monitor
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until

PACKAGING = Path(__file__).parents[2] / "packaging"
RULES = PACKAGING / "prometheus" / "alerts.rules.yml"
DASHBOARD = PACKAGING / "grafana" / "tocsin.json"
OF_PROMETHEUS = {"instance", "job"}  # labels that a scrape adds
SELECTOR = re.compile(r"(tocsin_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def queries() -> Iterator[str]:
    """Every PromQL expression."""
    yield from (rule["expr"] for rule in rules())
    board = dashboard()
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in [*shown, *(each["expr"] for each in board["annotations"]["list"])]:
        yield expression.replace("$__rate_interval", "5m")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """The metrics of a real daemon that has delivered a signal and pinged its monitor."""
    with FakeProcess("--limits", "none") as fake, running_monitor() as switch:
        url = fake.webhooks[0]["url"]
        config = '[shared]\nurl = "unix:///nowhere/engine.sock"\n' + HEARTBEAT + discord("d", url, shared="false")
        config += discord("of-all-hosts", url) + file() + route("d", "local-file")
        folder = tmp_path_factory.mktemp("watched")
        with DaemonProcess(folder, config, {"HEARTBEAT_URL": switch.url}).start() as daemon:
            assert daemon.settled(daemon.client.send("x").id) == ["delivered"]
            until(lambda: daemon.status()["heartbeat"]["beats"] >= 1)
            text = daemon.client.request("metrics")["metrics"]["text"]
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_queries_name_existing_metrics_labels_and_values(samples: list[Sample]) -> None:
    for query in queries():
        for name, matchers in SELECTOR.findall(query):
            rows = [sample.labels for sample in samples if sample.name == name]
            assert rows, f"there is no {name}: {query}"
            for label, pattern in MATCHER.findall(matchers):
                if label not in OF_PROMETHEUS:
                    values = {row[label] for row in rows}
                    assert values.issuperset(pattern.split("|")), f"{name} has no {label} {pattern!r}: {query}"


def test_queries_and_legends_name_existing_labels(samples: list[Sample]) -> None:
    known = {label for sample in samples for label in sample.labels} | OF_PROMETHEUS
    grouped = {label.strip() for query in queries() for part in GROUPING.findall(query) for label in part.split(",")}
    assert grouped <= known
    shown = set(re.findall(r"\$labels\.(\w+)", RULES.read_text()))
    legends = [target["legendFormat"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert shown | set(re.findall(r"\{\{(\w+)\}\}", " ".join(legends))) <= known


def test_every_expression_is_promql() -> None:
    assert len([promql_parser.parse(query) for query in queries()]) > 30


def test_every_rule_has_summary_and_description() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_queue_age_of_each_destination_has_a_rule() -> None:
    (rule,) = (rule for rule in rules() if rule["alert"] == "TocsinQueueOld")
    assert rule["expr"] == "max by (instance, destination) (tocsin_queue_age_seconds) > 900"


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool comes with 20 MB of Prometheus, which CI leaves out"
)
def test_promtool_accepts_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
