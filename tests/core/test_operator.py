"""Retry and drop, and new destinations for deliveries without one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from msgspec.msgpack import encode
from tests.core.fixture import PEER, CoreFixture, config, opened

from tocsin.signals import Signal
from tocsind.events import AcknowledgedBy, DroppedByOperator, Requeued
from tocsind.journal import Acknowledged, shared_arrivals
from tocsind.journal.shared import Here
from tocsind.journal.shared_arrivals import Arriving
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
        assert await fixture.core.operator.replaced_by(id_, "retry") == "it is queued"


async def test_retry_of_a_signal_without_route_uses_the_routes_in_force(tmp_path: Path) -> None:
    async with opened(tmp_path, config(routes=())) as fixture:
        one, two, three = [await fixture.accept() for _ in range(3)]
        assert await fixture.core.operator.retry(one) == 0
        why = "it is dead: no route of the configuration takes this signal"
        assert await fixture.core.operator.replaced_by(one, "retry") == why
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


async def arrived(fixture: CoreFixture, title: str, key: str | None = None) -> str:
    """The id of a signal that the host `vm-2` accepted, and this one sends to `c`."""
    signal = Signal(title)
    body = encode({"title": title})
    far = Arriving(
        f"vm-2/{signal.id}/c", "vm-2", signal.id, body, 2, 0.0, 0.0, None, key, ends=False, raw=False, attempted=False
    )
    here = Here("vm-1", "target", "c")
    await fixture.journal.run(partial(shared_arrivals.take_in, epoch="e", sent_alone=True), here, [far], 0.0)
    return signal.id


async def test_delivery_of_another_host_is_decided_there(tmp_path: Path) -> None:
    async with opened(tmp_path, config()) as fixture:
        operator = fixture.core.operator
        operator.host = "vm-1"
        dead = await arrived(fixture, "dead")
        await fixture.attempt(Refused("400"), "c")
        waiting = await arrived(fixture, "waiting", "trade")
        assert [await operator.retry(dead), await operator.retry_all(None), await operator.drop(waiting)] == [0, 0, 0]
        assert [await operator.acknowledge(name, PEER) for name in (waiting, "trade")] == [None, None]
        assert [await operator.accepted_by(name) for name in (dead, waiting.lower(), "trade")] == [["vm-2"]] * 3
        assert await operator.accepted_by("none") == []
        assert [await fixture.states(id_) for id_ in (dead, waiting)] == [{"c": "dead"}, {"c": "queued"}]
        assert fixture.events_of(AcknowledgedBy) == fixture.events_of(DroppedByOperator) == []
        own = await fixture.accept(to="c", key="trade")
        assert await operator.accepted_by(own) == []
        assert await operator.acknowledge("trade", PEER) == Acknowledged(None, "trade", 0, ["vm-2"])
        assert await operator.acknowledge(own, PEER) == Acknowledged(own, None, 0, [])
        assert await operator.drop(own) == 1


async def test_a_host_that_shares_nothing_decides_about_all_that_it_has(tmp_path: Path) -> None:
    async with opened(tmp_path, config()) as fixture:
        id_ = await arrived(fixture, "left")
        assert await fixture.core.operator.acknowledge(id_, PEER) == Acknowledged(id_, None, 0, [])
        assert await fixture.core.operator.drop(id_) == 1
