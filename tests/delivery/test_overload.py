"""An overload through housekeeping, core, journal and lane: which deliveries a digest replaces, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.daemon.inprocess import PATIENCE, InProcess, destination, housekeeping, in_process

from tocsind.config import DestinationOptions
from tocsind.events import Digested
from tocsind.journal import queries
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.digest import Budgets

LANE = 64  # deliveries that the file takes in one go
SLOW = Rate(2, 60.0)  # one for those who press, one for the others: 64 of them a minute


def narrow(budgets: Budgets | None) -> DestinationOptions:
    return destination("a", limit=SLOW, digest=budgets)


async def fold(here: InProcess) -> None:
    await housekeeping(here.journal, here.core, here.lanes, here.clock).digest_backlogs()


async def states(here: InProcess, ids: list[str]) -> list[str]:
    stories = [await here.journal.run(queries.why, id_) for id_ in ids]
    return [story["deliveries"][0]["state"] for story in stories if story]


async def test_the_oldest_of_a_backlog_are_told_in_sum_and_the_rest_one_by_one(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(Budgets(low=60.0)))
        await here.send("the minute's first", "a")
        low = await here.accept(*(f"low {n}" for n in range(200)), priority="low", key="storm", to="a")
        await fold(here)
        assert await states(here, low) == ["digested"] * 168 + ["queued"] * 32
        (told,) = [fact for fact in here.events if isinstance(fact, Digested)]
        assert (told.destination, told.priority, told.deliveries) == ("a", "low", 168)
        assert await here.core.waiters.wait_settled(low[0], 0) == "queued"
        (pressing,) = await here.accept("pressing", priority="urgent", to="a")  # it takes the others along
        assert await here.core.waiters.wait_settled(pressing, PATIENCE) == "delivered"
        assert await here.core.waiters.wait_settled(low[0], PATIENCE) == "delivered"
        digest = await here.core.operator.replaced_by(low[0])
        assert digest is not None
        assert told.id in digest
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["title"] for line in lines[:3]] == [
        "the minute's first",
        "pressing",
        "168 signals in one digest (low)",
    ]
    assert len(lines) == 3 + 32


async def test_urgent_and_high_are_never_told_in_sum(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(Budgets(normal=1.0, low=1.0)))
        here.lanes.get("a").limiter.endpoint.block(here.clock.now() + 3600, "closed")  # type: ignore[union-attr]
        pressing = [
            *await here.accept(*map(str, range(300)), priority="urgent", to="a"),
            *await here.accept(*map(str, range(300)), priority="high", to="a"),
        ]
        await here.accept(*map(str, range(300)), priority="normal", to="a")
        await fold(here)
        assert set(await states(here, pressing)) == {"queued"}
        assert [fact.priority for fact in here.events if isinstance(fact, Digested)] == [Priority.NORMAL.label]


async def test_without_budgets_nothing_is_told_in_sum(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(None))
        await here.send("the minute's first", "a")
        low = await here.accept(*map(str, range(300)), priority="low", to="a")
        await fold(here)
        assert set(await states(here, low)) == {"queued"}
