"""A lane that sends for several hosts: what they accepted at one moment shares its messages."""

from __future__ import annotations

import pytest
from tests.delivery.lane_fixture import HIGH, URGENT, LaneFixture, elapse
from trio.testing import MockClock

from tocsind.policy.delivery import Priority


def gathering(seconds: float) -> LaneFixture:
    """A lane whose messages take up to three deliveries."""
    fixture = LaneFixture(most=3)
    fixture.store.gathers = seconds
    return fixture


def batches(fixture: LaneFixture) -> list[list[str]]:
    return [[delivery.signal.title for delivery in each.batch] for each in fixture.destination.tries]


async def test_message_that_is_not_full_waits_for_alerts_of_other_hosts(autojump_clock: MockClock) -> None:
    fixture = gathering(0.03)
    async with fixture.running():
        fixture.owe("own")
        await elapse(0.02)
        assert batches(fixture) == []
        fixture.owe("handed over")
        await elapse(0.0101)
    assert batches(fixture) == [["own", "handed over"]]


async def test_full_message_waits_for_no_other_host(autojump_clock: MockClock) -> None:
    fixture = gathering(0.03)
    async with fixture.running():
        fixture.owe("a", "b", "c", "d")
        await elapse(0.0)
        assert batches(fixture) == [["a", "b", "c"]]
        await elapse(0.0301)
    assert batches(fixture) == [["a", "b", "c"], ["d"]]


@pytest.mark.parametrize("priority", [URGENT, HIGH])
async def test_expedited_message_waits_for_no_other_host(priority: Priority, autojump_clock: MockClock) -> None:
    fixture = gathering(0.03)
    async with fixture.running():
        fixture.owe("now", priority=priority)
        await elapse(0.0)
        assert batches(fixture) == [["now"]]


async def test_hand_over_that_took_longer_adds_no_wait(autojump_clock: MockClock) -> None:
    fixture = gathering(0.03)
    fixture.owe("handed over")
    await elapse(0.05)
    async with fixture.running():
        await elapse(0.0)
        assert batches(fixture) == [["handed over"]]


async def test_lane_of_one_host_sends_at_once(autojump_clock: MockClock) -> None:
    fixture = gathering(0.0)
    async with fixture.running():
        fixture.owe("own")
        await elapse(0.0)
        assert batches(fixture) == [["own"]]
