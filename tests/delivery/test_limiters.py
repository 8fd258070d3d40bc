"""What destinations share, over reloads, restarts and clock steps: their rates and blocks."""

from __future__ import annotations

from typing import Any

import trio

from tocsind.config import DestinationOptions, DiscordOptions
from tocsind.delivery.limiters import LONGEST_BLOCK, LimiterRegistry
from tocsind.destinations.registry import Pace
from tocsind.journal import LimitState
from tocsind.policy.bucket import Rate
from tocsind.policy.limiter import Limiter
from tocsind.policy.outcomes import RateHeaders
from tocsind.policy.rate_limits import MARGIN
from tocsind.secret import Secret
from tocsind.testing.clock import SteppedClock
from tocsind.testing.store import MemoryStore

FAST, SLOW, MINUTE = Rate(5, 2.0), Rate(1, 30.0), Rate(30, 60.0)
DAY = 86_400.0


def thread(name: str, webhook_limit: Rate = FAST, channel_limit: Rate = MINUTE) -> DestinationOptions:
    """A thread of one webhook."""
    url = Secret(f"https://discord.com/api/v10/webhooks/1/t?thread_id={name}")
    return DestinationOptions(name, "discord", DiscordOptions(url, None, 10.0, {}, (), webhook_limit, channel_limit))


class Run:
    """One run of the daemon on books that outlive it."""

    def __init__(self, books: MemoryStore | None = None, clock: SteppedClock | None = None) -> None:
        self.clock = clock or SteppedClock()
        self.books = books or MemoryStore(self.clock)
        self.gates = LimiterRegistry(self.books, self.clock, pace)

    async def write_down(self) -> None:
        await self.books.save(None, self.gates.changed_limits())


def pace(options: DestinationOptions) -> Pace:
    assert isinstance(options.options, DiscordOptions)
    return Pace(options.options.webhook_limit, options.options.channel_limit)


def webhook_rate(gate: Limiter) -> Rate:
    gate.endpoint.ready_at(trio.current_time())
    assert gate.endpoint.bucket is not None
    return gate.endpoint.bucket.rate


def allowed(channel: Any) -> Rate:
    rate: Rate = channel.limit.bucket.rate
    return rate


def wide(rate: Rate) -> Rate:
    return Rate(rate.count, rate.per + MARGIN)


async def test_of_two_destinations_on_one_webhook_the_slower_limit_holds_until_that_one_is_removed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    fast = await run.gates.limiter(thread("a"))
    slow = await run.gates.limiter(thread("b", SLOW))
    assert fast.endpoint is slow.endpoint
    assert webhook_rate(fast) == wide(SLOW)
    run.gates.forget("b")
    assert webhook_rate(fast) == wide(FAST)
    run.gates.forget("a")
    assert webhook_rate(fast) == wide(FAST), "the last wish holds while there is none"


async def test_a_destination_that_moves_to_another_channel_leaves_its_limit_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    shared = await run.gates.turn_queue(thread("a"), "1")
    assert await run.gates.turn_queue(thread("b", channel_limit=Rate(5, 60.0)), "1") is shared
    assert allowed(shared) == wide(Rate(5, 60.0))
    await run.gates.turn_queue(thread("b", channel_limit=Rate(5, 60.0)), "2")
    assert allowed(shared) == wide(Rate(30, 60.0))


async def test_a_reload_to_a_looser_limit_takes_effect_at_once_and_after_a_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    strict = await run.gates.limiter(thread("a", SLOW))
    strict.endpoint.on_response(run.clock.now(), RateHeaders(limit=5, remaining=4, reset_after=2.0))
    await run.write_down()
    run.gates.forget("a")
    assert webhook_rate(await run.gates.limiter(thread("a"))) == wide(FAST)
    await run.write_down()
    assert webhook_rate(await Run(run.books, run.clock).gates.limiter(thread("a"))) == wide(FAST)


async def test_what_was_learned_holds_after_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    run = Run()
    gate = await run.gates.limiter(thread("a"))
    gate.endpoint.on_response(run.clock.now(), RateHeaders(limit=5, remaining=4, reset_after=5.0))
    await run.write_down()
    assert webhook_rate(await Run(run.books, run.clock).gates.limiter(thread("a"))) == wide(Rate(5, 5.0))


async def test_a_block_is_never_longer_than_it_was_when_it_was_set(autojump_clock: trio.testing.MockClock) -> None:
    run = Run()
    gate = await run.gates.limiter(thread("a"))
    gate.endpoint.block(run.clock.now() + 90.0, "429", 90.0)
    await run.write_down()
    (memory,) = run.books.scopes.values()
    assert memory.blocked_until is not None
    run.books.scopes[memory.scope] = LimitState(
        memory.scope, memory.blocked_until + DAY, "429", blocked_for=memory.blocked_for
    )
    again = Run(run.books, run.clock)
    assert (await again.gates.limiter(thread("a"))).blocked_for(again.clock.now()) == 90.0


async def test_a_block_from_a_journal_that_did_not_tell_its_length_is_believed_for_a_day(
    autojump_clock: trio.testing.MockClock,
) -> None:
    run = Run()
    name = f"endpoint:{thread('a').endpoint}"
    run.books.scopes[name] = LimitState(name, run.clock.steady() + 9 * DAY, "429")
    assert (await run.gates.limiter(thread("a"))).blocked_for(run.clock.now()) == LONGEST_BLOCK
