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
SLOW = Rate(2, 60.0)  # one request for expedited deliveries, one for the others, which makes 64 of the others a minute


def narrow(budgets: Budgets | None) -> DestinationOptions:
    return destination("a", limit=SLOW, digest=budgets)


async def fold(here: InProcess) -> None:
    await housekeeping(here.journal, here.core, here.lanes, here.clock).digest_backlogs()


async def states(here: InProcess, ids: list[str]) -> list[str]:
    stories = [await here.journal.run(queries.why, id_) for id_ in ids]
    return [story["deliveries"][0]["state"] for story in stories if story]


async def test_digest_replaces_oldest_of_backlog_and_rest_is_sent_one_by_one(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(Budgets(low=60.0)))
        await here.send("the minute's first", "a")
        low = await here.accept(*(f"low {n}" for n in range(200)), priority="low", key="storm", to="a")
        await fold(here)
        assert await states(here, low) == ["digested"] * 168 + ["queued"] * 32
        (digested,) = [event for event in here.events if isinstance(event, Digested)]
        assert (digested.destination, digested.priority, digested.deliveries) == ("a", "low", 168)
        assert await here.core.waiters.wait_settled(low[0], 0) == "queued"
        (urgent,) = await here.accept("urgent", priority="urgent", to="a")  # it takes the others along
        assert await here.core.waiters.wait_settled(urgent, PATIENCE) == "delivered"
        assert await here.core.waiters.wait_settled(low[0], PATIENCE) == "delivered"
        digest = await here.core.operator.replaced_by(low[0], "drop")
        assert digest is not None
        assert digested.id in digest
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["title"] for line in lines[:3]] == [
        "the minute's first",
        "urgent",
        "168 signals in one digest (low)",
    ]
    assert len(lines) == 3 + 32


async def test_digest_never_contains_urgent_or_high(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(Budgets(normal=1.0, low=1.0)))
        here.lanes.get("a").limiter.endpoint.block(here.clock.now() + 3600, "closed")  # type: ignore[union-attr]
        urgent = [
            *await here.accept(*map(str, range(300)), priority="urgent", to="a"),
            *await here.accept(*map(str, range(300)), priority="high", to="a"),
        ]
        await here.accept(*map(str, range(300)), priority="normal", to="a")
        await fold(here)
        assert set(await states(here, urgent)) == {"queued"}
        assert [fact.priority for fact in here.events if isinstance(fact, Digested)] == [Priority.NORMAL.label]


async def test_digest_is_not_made_without_budgets(tmp_path: Path) -> None:
    async with in_process(tmp_path) as here:
        await here.apply(narrow(None))
        await here.send("the minute's first", "a")
        low = await here.accept(*map(str, range(300)), priority="low", to="a")
        await fold(here)
        assert set(await states(here, low)) == {"queued"}
