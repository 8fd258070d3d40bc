"""Deadlines, ages and retention, on a clock that tests step: the steady clock decides, the wall clock does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from tests.core.fixture import PATIENCE, RETRY, config, opened
from tests.daemon.inprocess import housekeeping

from tocsind.events import Expired, Sent
from tocsind.journal import queries
from tocsind.policy import outcomes
from tocsind.policy.outcomes import Delivered


async def test_expire_drops_late_deliveries_and_returns_the_next_deadline(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        late = await fixture.accept(expires=10)
        await fixture.accept(expires=1000)
        fixture.clock.step(500)
        deadline = await fixture.core.store.expire()
        assert deadline == pytest.approx(fixture.clock.wall() + 500, abs=10)
        assert fixture.events_of(Expired) == [Expired(late, "a")]
        assert await fixture.core.waiters.wait_settled(late, 0) == "dropped"


@pytest.mark.parametrize("step", [86_400.0, 36_000.0, -86_400.0])
async def test_wall_clock_step_does_not_change_when_deliveries_expire(tmp_path: Path, step: float) -> None:
    async with opened(tmp_path) as fixture:
        before = await fixture.accept(expires=1000)
        fixture.clock.set_wall(step)
        after = await fixture.accept(expires=1000)
        await fixture.core.store.expire()
        assert not fixture.events_of(Expired)
        fixture.clock.step(1001)
        await fixture.core.store.expire()
        assert fixture.events_of(Expired) == [Expired(before, "a"), Expired(after, "a")]


async def test_wall_clock_step_does_not_change_when_retries_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        id_ = await fixture.accept()
        await fixture.attempt(outcomes.Deferred("503"))
        fixture.clock.set_wall(86_400)
        await fixture.attempt(outcomes.Deferred("503"))
        assert await fixture.states(id_) == {"a": "queued"}
        fixture.clock.step(RETRY.give_up)
        await fixture.attempt(outcomes.Deferred("503"))
        assert (await fixture.states(id_))["a"] == "dead"


async def test_wall_clock_step_changes_no_age(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture:
        await fixture.accept()
        fixture.clock.set_wall(86_400)
        await fixture.attempt(Delivered())
        await fixture.accept()
        (oldest,) = (await fixture.journal.run(queries.ages)).values()
        assert fixture.clock.steady() - oldest == pytest.approx(0, abs=10)
        await fixture.attempt(Delivered())
        assert [event.seconds for event in fixture.events_of(Sent) if isinstance(event, Sent)] == pytest.approx(
            [0, 0], abs=10
        )


async def test_wall_clock_step_deletes_nothing_early(tmp_path: Path) -> None:
    async with opened(tmp_path, config(ledger=100.0)) as fixture:
        ids = [await fixture.accept()]
        await fixture.attempt(Delivered())
        fixture.clock.set_wall(86_400)
        ids.append(await fixture.accept())
        await fixture.attempt(Delivered())
        fixture.clock.set_wall(-2 * 86_400)
        ids.append(await fixture.accept())
        await fixture.attempt(Delivered())
        await fixture.core.store.delete_old()
        assert [await fixture.core.waiters.wait_settled(id_, 0) for id_ in ids] == ["delivered"] * 3


async def test_housekeeping_expires_a_signal_that_came_during_its_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as fixture, trio.open_nursery() as nursery:
        nursery.start_soon(housekeeping(fixture.journal, fixture.core, (), fixture.clock).run)
        far = await fixture.accept(expires=1000)
        near = await fixture.accept(expires=0.05)
        assert await fixture.core.waiters.wait_settled(near, PATIENCE) == "dropped"
        assert await fixture.core.waiters.wait_settled(far, 0) == "queued"
        nursery.cancel_scope.cancel()


async def test_delete_old_deletes_what_was_settled_before_the_ledger_period(tmp_path: Path) -> None:
    async with opened(tmp_path, config(ledger=100.0)) as fixture:
        old = await fixture.accept()
        await fixture.attempt(Delivered())
        fixture.clock.step(101)
        young = await fixture.accept()
        await fixture.core.store.delete_old()
        assert await fixture.core.waiters.wait_settled(old, 0) is None
        assert await fixture.states(young) == {"a": "queued"}
