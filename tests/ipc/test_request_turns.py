"""Whose request is served next."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tocsind.ipc.connection_table import Phase, Slot
from tocsind.ipc.request_turns import RequestTurns, Turn


class Crowd:
    """Requests that wait, and the order in which they are served."""

    def __init__(self, turns: RequestTurns, nursery: trio.Nursery) -> None:
        self.turns = turns
        self.nursery = nursery
        self.served: list[str] = []

    async def come(self, owner: int, name: str, weight: int = 10) -> None:
        self.nursery.start_soon(self._ask, owner, name, weight)
        await trio.testing.wait_all_tasks_blocked()

    async def _ask(self, owner: int, name: str, weight: int) -> None:
        await self.turns.acquire(owner, weight)
        self.served.append(name)


async def test_owners_take_turns_whoever_sent_more(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    async with trio.open_nursery() as nursery:
        crowd = Crowd(turns, nursery)
        for owner, name in [(1, "a"), (1, "a"), (1, "a"), (1, "a"), (2, "b"), (3, "c"), (2, "b")]:
            await crowd.come(owner, name)
        for _ in range(7):
            turns.release(10)
            await trio.testing.wait_all_tasks_blocked()
    assert "".join(crowd.served) == "aabcaba"
    assert turns.waiting == 0


async def test_large_request_is_not_overtaken_for_ever_by_small_ones(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    async with trio.open_nursery() as nursery:
        crowd = Crowd(turns, nursery)
        await crowd.come(1, "small", 5)
        await crowd.come(1, "large", 10)
        await crowd.come(2, "late", 5)
        assert crowd.served == ["small"]
        turns.release(5)
        await trio.testing.wait_all_tasks_blocked()
        assert crowd.served == ["small", "large"]
        turns.release(10)
    assert crowd.served == ["small", "large", "late"]


async def test_request_larger_than_all_turns_together_is_served_alone() -> None:
    turns = RequestTurns(10)
    assert await turns.acquire(1, 1000) == 10


async def test_cancelled_request_gives_its_place_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    await turns.acquire(1, 5)
    async with trio.open_nursery() as nursery:
        crowd = Crowd(turns, nursery)
        with trio.move_on_after(1):
            nursery.start_soon(crowd.come, 3, "small", 5)
            await turns.acquire(2, 10)
        await trio.testing.wait_all_tasks_blocked()
        assert crowd.served == ["small"]


async def test_turn_that_was_granted_to_a_cancelled_request_is_free_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns = RequestTurns(10)
    await turns.acquire(1, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.acquire, 2, 10)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        turns.release(10)  # granted in the same tick, before the request can withdraw
    assert turns.acquire_nowait(10)


@pytest.mark.parametrize("times", [1, 2])
async def test_ending_a_turn_twice_releases_it_once(times: int) -> None:
    turns = RequestTurns(10)
    turn = Turn(turns, Slot(1, print))
    await turn.acquire(7)
    for _ in range(times):
        turn.release()
    assert turns.acquire_nowait(10)
    assert not turns.acquire_nowait(1)


async def test_turn_that_is_handed_over_ends_with_its_new_holder() -> None:
    turns = RequestTurns(10)
    turn = Turn(turns, Slot(1, print))
    await turn.acquire(10)
    later = turn.transfer()
    turn.release()
    assert not turns.acquire_nowait(1)
    later.release()
    assert turns.acquire_nowait(10)


async def test_request_that_waits_for_its_turn_is_queued(autojump_clock: trio.testing.MockClock) -> None:
    turns, slot = RequestTurns(10), Slot(1, print)
    await turns.acquire(2, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Turn(turns, slot).acquire, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert slot.phase is Phase.QUEUED
        turns.release(10)
        await trio.testing.wait_all_tasks_blocked()
        assert slot.phase.name == "SERVED"
