"""The status as Prometheus text, read by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from tests.daemon.inprocess import InProcess, destination, in_process

from tocsind.observe.metrics import AGES, COUNTERS, OF_DESTINATION, Metrics
from tocsind.observe.prometheus import CONDITIONS, render
from tocsind.observe.status import StatusView

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@asynccontextmanager
async def seen(folder: Path, *names: str) -> AsyncIterator[tuple[InProcess, StatusView]]:
    async with in_process(folder) as here:
        metrics = Metrics(here.clock)
        here.observers.append(metrics)
        await here.apply(*(destination(name) for name in names), destination("out", disabled="switched off"))
        yield here, here.status_view(metrics)


def read(text: bytes) -> Samples:
    families = list(text_string_to_metric_families(text.decode()))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"tocsin_{name}", tuple(sorted(labels.items()))]


async def test_prometheus_text_has_the_numbers_of_the_status(tmp_path: Path) -> None:
    async with seen(tmp_path, "a", 'b"\\') as (here, status):
        assert await here.send("one", "a") == "delivered"
        await here.accept("two", "three", to="out", priority="low")
        here.clock.step(90.0)
        collected = await status.collect()
        samples = read(await render(collected))
    assert value(samples, "signals_accepted_total", priority="normal") == 1
    assert value(samples, "signals_accepted_total", priority="low") == 2
    assert value(samples, "notifications_sent_total", destination="a") == 1
    assert value(samples, "queue_depth", destination="out", priority="low") == 2
    assert 90 <= value(samples, "queue_age_seconds", destination="out", priority="low") < 100
    assert value(samples, "queue_age_seconds", destination="a", priority="low") == 0
    assert value(samples, "destination_condition", destination="out", condition="disabled") == 1
    assert [value(samples, "destination_wanted", destination=name) for name in ("a", "out")] == [1, 0]
    assert value(samples, "arrival_age_seconds_count", destination="a") == 1
    assert value(samples, "arrival_age_seconds_bucket", destination="a", le="+Inf") == 1
    assert value(samples, "health", health="degraded") == 1
    assert value(samples, "problems") == len(collected["problems"])
    assert value(samples, "last_success_age_seconds", destination="a") < 90
    assert ("tocsin_last_success_age_seconds", (("destination", "out"),)) not in samples


async def test_prometheus_text_has_every_counter_and_destination_from_the_start(tmp_path: Path) -> None:
    async with seen(tmp_path, "a", "b") as (_, status):
        samples = read(await render(await status.collect()))
    there = {name for name, _ in samples}
    assert {f"tocsin_{name}_total" for name in COUNTERS} <= there
    assert all(samples[name, labels] == 0 for name, labels in samples if name.endswith("_total"))
    for each in ("a", "b", "out"):
        assert all((f"tocsin_{name}_total", (("destination", each),)) in samples for name in OF_DESTINATION)
        assert (
            sum(value(samples, "destination_condition", destination=each, condition=word) for word in CONDITIONS) == 1
        )
    buckets = [
        name
        for name, labels in samples
        if name == "tocsin_arrival_age_seconds_bucket" and ("destination", "a") in labels
    ]
    assert len(buckets) == len(AGES) + 1


async def test_prometheus_text_includes_new_counters_of_the_status(tmp_path: Path) -> None:
    async with seen(tmp_path, "a") as (_, status):
        collected: dict[str, Any] = await status.collect()
        collected["counters"]["edits_made"] = 7
        text = await render(collected)
    assert value(read(text), "edits_made_total") == 7
    assert b"# HELP tocsin_edits_made_total Edits made.\n" in text


async def test_prometheus_text_has_limits_spool_and_heartbeat(tmp_path: Path) -> None:
    async with seen(tmp_path, "a") as (_, status):
        collected: dict[str, Any] = await status.collect()
    collected["spool"] = {"files": 3, "quarantined": 1}
    collected["heartbeat"] = {"beats": 5, "failures": 2, "withheld": 1, "last_success_seconds": None}
    collected["destinations"][0]["limits"]["windows"] = [{"name": "channel", "count": 30, "left": 12, "kept": 4}]
    samples = read(await render(collected))
    assert [value(samples, f"heartbeat_{name}_total") for name in ("beats", "failures", "withheld")] == [5, 2, 1]
    assert [value(samples, f"spool_{name}") for name in ("files", "quarantined")] == [3, 1]
    assert not any(("engine" in name and "up" in name) or "lane" in name for name, _ in samples)
    left = [value(samples, f"limit_{name}", destination="a", window="channel") for name in ("size", "left", "reserved")]
    assert left == [30, 12, 4]
    assert not any(name == "tocsin_heartbeat_age_seconds" for name, _ in samples)


async def test_prometheus_text_has_engine_and_holders(tmp_path: Path) -> None:
    async with seen(tmp_path, "a") as (_, status):
        collected: dict[str, Any] = await status.collect()
    counts = {"waiting": 7, "handed_over": 5, "taken": 3, "in_doubt": 1}
    lanes = [
        {"destinations": ["a", "b"], "holder": "vm-2", "here": False, "hosts": 3, **counts},
        {"destinations": ["c"], "holder": None, "here": True, "hosts": 1, **dict.fromkeys(counts, 0)},
    ]
    collected["shared"] = {"away_seconds": None, "cause": None, "complaints": ["no append-only file"], "lanes": lanes}
    samples = read(await render(collected))
    assert [value(samples, f"engine_{name}") for name in ("up", "away_seconds", "complaints")] == [1, 0, 1]
    assert value(samples, "lane_holder", destination="a,b", host="vm-2") == 1
    assert [value(samples, "lane_sends_here", destination=name) for name in ("a,b", "c")] == [0, 1]
    names = ("hosts", "handed_over", "kept", "taken", "in_doubt")
    assert [value(samples, f"lane_{name}", destination="a,b") for name in names] == [3, 5, 2, 3, 1]
    assert "tocsin_engine_trouble{" not in (await render(collected)).decode()
    collected["shared"] |= {"away_seconds": 12.5, "cause": "full"}
    samples = read(await render(collected))
    assert [value(samples, f"engine_{name}") for name in ("up", "away_seconds")] == [0, 12.5]
    assert value(samples, "engine_trouble", cause="full") == 1
