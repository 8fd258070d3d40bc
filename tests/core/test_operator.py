"""Retry and drop, and new destinations for deliveries without one."""

from __future__ import annotations

from pathlib import Path

from tests.core.fixture import config, opened

from tocsind.events import DroppedByOperator, Requeued
from tocsind.policy.outcomes import Refused


async def test_retry_requeues_dead_deliveries_and_rewinds_the_lanes(tmp_path: Path) -> None:
    async with opened(tmp_path, config()) as fixture:
        id_ = await fixture.accept(to="c")
        await fixture.attempt(Refused("400"), "c")
        assert await fixture.core.operator.retry(id_) == 1
        assert await fixture.states(id_) == {"c": "queued"}
        assert fixture.events_of(Requeued) == [Requeued(1)]
        assert fixture.lanes["c"].rewound == 1
        assert await fixture.core.operator.retry(id_) == 0
        assert fixture.lanes["c"].rewound == 1
        assert await fixture.core.operator.replaced_by(id_) == "it is queued"


async def test_retry_of_a_signal_without_route_uses_the_routes_in_force(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as fixture:
        one, two, three = [await fixture.accept() for _ in range(3)]
        assert await fixture.core.operator.retry(one) == 0
        why = "it is dead: no route of the configuration takes this signal"
        assert await fixture.core.operator.replaced_by(one) == why
        fixture.core.config.current = config()
        assert await fixture.core.operator.retry(one) == 1
        assert await fixture.states(one) == {"unrouted": "rerouted", "a": "queued"}
        assert await fixture.core.operator.retry_all("a") == 0
        assert await fixture.core.operator.retry_all(None) == 2
        assert [(await fixture.states(id_))["a"] for id_ in (two, three)] == ["queued", "queued"]


async def test_drop_settles_queued_deliveries(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept(to=["a", "b"])
        assert await fixture.core.operator.drop(id_) == 2
        assert fixture.events_of(DroppedByOperator) == [DroppedByOperator(id_, 2)]
        assert await fixture.core.operator.drop(id_) == 0
        assert await fixture.core.waiters.wait_settled(id_, 0) == "dropped"
