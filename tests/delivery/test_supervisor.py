"""Lanes through changes of the configuration, with a real journal, real files and the real clock."""

from __future__ import annotations

from pathlib import Path

import trio
from tests.daemon.inprocess import PATIENCE, destination, in_process

from tocsind.policy.bucket import Rate


async def test_each_destination_has_a_lane_that_delivers(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"), destination("b"))
        assert [lane.name for lane in here.lanes] == ["a", "b"]
        assert await here.send("to a", "a") == "delivered"
        assert await here.send("to b", "b") == "delivered"
    assert "to a" in (tmp_path / "a.jsonl").read_text()
    assert "to b" in (tmp_path / "b.jsonl").read_text()


async def test_lane_with_unchanged_options_survives_reload(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"), destination("b"))
        kept, changed = here.lanes.get("a"), here.lanes.get("b")
        await here.apply(destination("a"), destination("b", path="elsewhere.jsonl"))
        assert here.lanes.get("a") is kept
        assert here.lanes.get("b") is not changed
        assert await here.send("moved", "b") == "delivered"
    assert "moved" in (tmp_path / "elsewhere.jsonl").read_text()


async def test_queue_of_removed_destination_is_kept_until_it_returns(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"))
        await here.apply()
        assert list(here.lanes) == []
        assert here.lanes.get("a") is None
        (early,) = await here.accept("early", to="a")
        assert await here.core.waiters.wait_settled(early, 0) == "queued"
        await here.apply(destination("a"))
        assert await here.core.waiters.wait_settled(early, PATIENCE) == "delivered"


async def test_replaced_lane_counts_requests_of_the_old_one(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a", limit=Rate(1, 3600.0)))
        assert await here.send("one", "a") == "delivered"
        await here.apply(destination("a", limit=Rate(1, 7200.0)))
        lane = here.lanes.get("a")
        assert lane is not None
        condition = lane.condition()
        assert condition.word == "limited"
        assert condition.seconds is not None
        assert 7100 < condition.seconds <= 7200


async def test_block_of_host_limits_every_lane_of_its_kind(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(destination("a"), destination("b"))
        first = here.lanes.get("a")
        assert first is not None
        first.limiter.address.block(trio.current_time() + 60, "blocked")
        assert [lane.condition().word for lane in here.lanes] == ["limited", "limited"]
