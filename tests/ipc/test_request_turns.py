"""The order in which requests of several owners are served."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tocsind.ipc.connection_table import Phase, Slot
from tocsind.ipc.request_turns import RequestTurns, Turn


class Requests:
    """Requests that wait, and the order in which they are served."""

    def __init__(self, turns: RequestTurns, nursery: trio.Nursery) -> None:
        self.turns = turns
        self.nursery = nursery
        self.served: list[str] = []

    async def add(self, owner: int, name: str, weight: int = 10) -> None:
        self.nursery.start_soon(self._acquire, owner, name, weight)
        await trio.testing.wait_all_tasks_blocked()

    async def _acquire(self, owner: int, name: str, weight: int) -> None:
        await self.turns.acquire(owner, weight)
        self.served.append(name)


async def test_turns_alternate_between_owners(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    async with trio.open_nursery() as nursery:
        requests = Requests(turns, nursery)
        for owner, name in [(1, "a"), (1, "a"), (1, "a"), (1, "a"), (2, "b"), (3, "c"), (2, "b")]:
            await requests.add(owner, name)
        for _ in range(7):
            turns.release(10)
            await trio.testing.wait_all_tasks_blocked()
    assert "".join(requests.served) == "aabcaba"
    assert turns.waiting == 0


async def test_large_request_is_served_before_later_small_ones(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    async with trio.open_nursery() as nursery:
        requests = Requests(turns, nursery)
        await requests.add(1, "small", 5)
        await requests.add(1, "large", 10)
        await requests.add(2, "late", 5)
        assert requests.served == ["small"]
        turns.release(5)
        await trio.testing.wait_all_tasks_blocked()
        assert requests.served == ["small", "large"]
        turns.release(10)
    assert requests.served == ["small", "large", "late"]


async def test_request_larger_than_all_turns_together_is_served_alone() -> None:
    turns = RequestTurns(10)
    assert await turns.acquire(1, 1000) == 10


async def test_cancelled_request_releases_its_place_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    turns = RequestTurns(10)
    await turns.acquire(1, 5)
    async with trio.open_nursery() as nursery:
        requests = Requests(turns, nursery)
        with trio.move_on_after(1):
            nursery.start_soon(requests.add, 3, "small", 5)
            await turns.acquire(2, 10)
        await trio.testing.wait_all_tasks_blocked()
        assert requests.served == ["small"]


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
async def test_turn_released_twice_frees_its_weight_once(times: int) -> None:
    turns = RequestTurns(10)
    turn = Turn(turns, Slot(1, print))
    await turn.acquire(7)
    for _ in range(times):
        turn.release()
    assert turns.acquire_nowait(10)
    assert not turns.acquire_nowait(1)


async def test_transferred_turn_is_released_by_its_new_holder() -> None:
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
