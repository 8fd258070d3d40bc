"""Rates and blocks of shared limits, over reloads, restarts and set wall clocks."""

from __future__ import annotations

from typing import Any

import trio

from tocsind.config import DestinationOptions, DiscordOptions
from tocsind.delivery.limiters import LONGEST_BLOCK, LimiterRegistry
from tocsind.journal import LimitState
from tocsind.policy.bucket import Rate
from tocsind.policy.limiter import Limiter
from tocsind.policy.outcomes import RateHeaders
from tocsind.policy.pace import Pace
from tocsind.policy.rate_limits import MARGIN
from tocsind.secret import Secret
from tocsind.testing.clock import SteppedClock
from tocsind.testing.store import MemoryStore

FAST, SLOW, MINUTE = Rate(5, 2.0), Rate(1, 30.0), Rate(30, 60.0)
DAY = 86_400.0


def thread(name: str, webhook_limit: Rate = FAST, channel_limit: Rate = MINUTE) -> DestinationOptions:
    """A destination: one thread of a webhook that all of them share."""
    url = Secret(f"https://discord.com/api/v10/webhooks/1/t?thread_id={name}")
    return DestinationOptions(name, "discord", DiscordOptions(url, None, 10.0, {}, (), webhook_limit, channel_limit))


class Run:
    """One run of the daemon, on a store that outlives it."""

    def __init__(self, store: MemoryStore | None = None, clock: SteppedClock | None = None) -> None:
        self.clock = clock or SteppedClock()
        self.store = store or MemoryStore(self.clock)
        self.limiters = LimiterRegistry(self.store, self.clock, pace)

    async def save(self) -> None:
        await self.store.save(None, self.limiters.changed_limits())


def pace(options: DestinationOptions) -> Pace:
    assert isinstance(options.options, DiscordOptions)
    return Pace(options.options.webhook_limit, options.options.channel_limit)


def webhook_rate(limiter: Limiter) -> Rate:
    limiter.endpoint.ready_at(trio.current_time())
    assert limiter.endpoint.bucket is not None
    return limiter.endpoint.bucket.rate


def allowed(channel: Any) -> Rate:
    rate: Rate = channel.limit.bucket.rate
    return rate


def wide(rate: Rate) -> Rate:
    return Rate(rate.count, rate.per + MARGIN)


async def test_slower_rate_of_shared_webhook_applies_until_its_destination_is_removed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    fast = await run.limiters.limiter(thread("a"))
    slow = await run.limiters.limiter(thread("b", SLOW))
    assert fast.endpoint is slow.endpoint
    assert webhook_rate(fast) == wide(SLOW)
    run.limiters.forget("b")
    assert webhook_rate(fast) == wide(FAST)
    run.limiters.forget("a")
    assert webhook_rate(fast) == wide(FAST), "the last wish holds while there is none"


async def test_destination_that_changes_channel_withdraws_its_rate_from_the_old_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    shared = await run.limiters.turn_queue(thread("a"), "1")
    assert await run.limiters.turn_queue(thread("b", channel_limit=Rate(5, 60.0)), "1") is shared
    assert allowed(shared) == wide(Rate(5, 60.0))
    await run.limiters.turn_queue(thread("b", channel_limit=Rate(5, 60.0)), "2")
    assert allowed(shared) == wide(Rate(30, 60.0))


async def test_looser_rate_applies_after_reload_and_after_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    strict = await run.limiters.limiter(thread("a", SLOW))
    strict.endpoint.on_response(run.clock.now(), RateHeaders(limit=5, remaining=4, reset_after=2.0))
    await run.save()
    run.limiters.forget("a")
    assert webhook_rate(await run.limiters.limiter(thread("a"))) == wide(FAST)
    await run.save()
    assert webhook_rate(await Run(run.store, run.clock).limiters.limiter(thread("a"))) == wide(FAST)


async def test_learned_limit_applies_after_restart(autojump_clock: trio.testing.MockClock) -> None:
    run = Run()
    limiter = await run.limiters.limiter(thread("a"))
    limiter.endpoint.on_response(run.clock.now(), RateHeaders(limit=5, remaining=4, reset_after=5.0))
    await run.save()
    assert webhook_rate(await Run(run.store, run.clock).limiters.limiter(thread("a"))) == wide(Rate(5, 5.0))


async def test_block_is_not_extended_by_a_set_wall_clock(autojump_clock: trio.testing.MockClock) -> None:
    run = Run()
    limiter = await run.limiters.limiter(thread("a"))
    limiter.endpoint.block(run.clock.now() + 90.0, "429", 90.0)
    await run.save()
    (memory,) = run.store.scopes.values()
    assert memory.blocked_until is not None
    run.store.scopes[memory.scope] = LimitState(
        memory.scope, memory.blocked_until + DAY, "429", blocked_for=memory.blocked_for
    )
    again = Run(run.store, run.clock)
    assert (await again.limiters.limiter(thread("a"))).blocked_for(again.clock.now()) == 90.0


async def test_saved_block_without_length_lasts_a_day_at_most(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    name = f"endpoint:{thread('a').endpoint}"
    run.store.scopes[name] = LimitState(name, run.clock.steady() + 9 * DAY, "429")
    assert (await run.limiters.limiter(thread("a"))).blocked_for(run.clock.now()) == LONGEST_BLOCK
