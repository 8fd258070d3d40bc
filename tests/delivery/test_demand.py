"""The demand for expedited requests, from which the reserve follows: each delivery of a lane counts once."""

from __future__ import annotations

from tests.delivery.lane_fixture import HIGH, NORMAL, LaneFixture, elapse
from trio.testing import MockClock

from tocsind.policy.bucket import Rate
from tocsind.policy.pace import Pace

CHANNEL = Pace(channel=Rate(30, 60.0))


async def test_expedited_delivery_that_is_read_again_is_no_second_demand(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(pace=CHANNEL)
    await fixture.block_for(60.0)
    fixture.owe("waits", priority=HIGH)
    fixture.owe("waits as well", priority=NORMAL)
    async with fixture.running():
        for _ in range(20):
            await elapse(2.0)
            fixture.lane.refresh()
        await elapse(0.0)
        (channel,) = fixture.lane.limiter.channel.buckets
        assert channel.reserved(fixture.clock.now()) == 4


async def test_expedited_deliveries_one_after_the_other_are_demand_each(autojump_clock: MockClock) -> None:
    fixture = LaneFixture(pace=CHANNEL)
    async with fixture.running():
        for number in range(8):
            fixture.owe(str(number), priority=HIGH)
            await elapse(2.0)
        (channel,) = fixture.lane.limiter.channel.buckets
        assert channel.reserved(fixture.clock.now()) == 12
