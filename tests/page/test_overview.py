from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.daemon.inprocess import PATIENCE, InProcess, destination, in_process

from tocsind.observe.metrics import Metrics
from tocsind.page import overview
from tocsind.page.last_hour import LastHour
from tocsind.page.overview import Overviews


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[InProcess, Overviews]]:
    async with in_process(folder) as here:
        metrics, hour = Metrics(here.clock), LastHour(here.clock)
        here.observers += [metrics, hour]
        await here.apply(destination("a"))
        with trio.fail_after(PATIENCE):
            yield here, Overviews(here.status_view(metrics), hour, here.journal, here.clock)


def content(event: bytes) -> dict[str, Any]:
    kind, data = event.decode().rstrip("\n").split("\n")
    assert kind == "event: overview"
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return found


async def test_overview_has_what_the_page_shows(tmp_path: Path) -> None:
    async with watched(tmp_path) as (here, overviews):
        await here.send("one", to="a")
        found = json.loads(await overviews.make())
    assert (found["health"], found["problems"], found["queue"]["depth"]) == ("ok", [], 0)
    (lane,) = found["destinations"]
    assert (lane["name"], lane["condition"], lane["sent"], lane["failing_seconds"]) == ("a", "ready", 1, None)
    assert found["hour"]["accepted"][-1] == found["hour"]["delivered"][-1] == 1


async def test_stream_sends_at_once_and_again_when_something_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "INTERVAL", 0.01)
    async with watched(tmp_path) as (here, overviews), aclosing(overviews.follow()) as events:
        assert await anext(events) == b"retry: 1000\n\n"
        assert content(await anext(events))["destinations"][0]["sent"] == 0
        await here.send("one", to="a")
        assert content(await anext(events))["destinations"][0]["sent"] == 1


async def test_two_readers_share_each_overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    async with watched(tmp_path) as (_, overviews):
        make = overviews.make

        async def counted() -> bytes:
            made.append(await make())
            return made[-1]

        monkeypatch.setattr(overviews, "make", counted)
        async with aclosing(overviews.follow()) as first, aclosing(overviews.follow()) as second:
            for events in (first, second):
                await anext(events)
            assert await anext(first) == await anext(second)
    assert len(made) == 1


async def test_stream_is_refused_to_one_reader_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "MAX_READERS", 1)
    async with watched(tmp_path) as (_, overviews):
        async with aclosing(overviews.follow()) as first:
            await anext(first)
            assert overviews.is_full
            assert [event async for event in overviews.follow()] == []
        assert not overviews.is_full


async def test_stream_ends_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"LONGEST": 0.05, "QUIET_INTERVAL": 0.02, "INTERVAL": 0.02}.items():
        monkeypatch.setattr(overview, name, seconds)
    async with watched(tmp_path) as (_, overviews):
        assert len([event async for event in overviews.follow()]) >= 2


async def test_stream_goes_on_while_the_journal_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tocsind.errors import StorageFull

    async def full() -> bytes:
        raise StorageFull("the disk is full")

    async with watched(tmp_path) as (_, overviews), aclosing(overviews.follow()) as events:
        monkeypatch.setattr(overviews, "make", full)
        await anext(events)
        assert content(await anext(events))["trouble"] == "the disk is full"


async def test_overview_of_many_waiting_signals_stays_small(tmp_path: Path) -> None:
    async with watched(tmp_path) as (here, overviews):
        await here.apply(*(destination(f"with-a-long-name-{n:02}") for n in range(20)))
        await here.accept(*("waits" for _ in range(2000)), to="with-a-long-name-07")
        assert len(await overviews.make()) < 40_000
