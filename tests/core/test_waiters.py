"""`send --wait`: clients that wait until a signal is settled."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing
from tests.core.fixture import PATIENCE, opened

from tocsind.policy.outcomes import Delivered


async def test_wait_settled_returns_after_the_last_delivery_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        id_ = await fixture.accept(to=["a", "b"])
        answers: list[str | None] = []

        async def wait() -> None:
            answers.append(await fixture.core.waiters.wait_settled(id_, PATIENCE))

        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await fixture.attempt(Delivered(), "a")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert answers == []
        await fixture.attempt(Delivered(), "b")
    assert answers == ["delivered", "delivered"]
    assert len(fixture.core.waiters) == 0


async def test_wait_settled_returns_queued_after_its_time_and_none_for_an_unknown_signal(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        assert await fixture.core.waiters.wait_settled(await fixture.accept(), 0.01) == "queued"
        assert await fixture.core.waiters.wait_settled("01ARZ3NDEKTSV4RRFFQ69G5FAV", PATIENCE) is None
        assert len(fixture.core.waiters) == 0
