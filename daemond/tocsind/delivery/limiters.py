"""The rate limits of all destinations: which destinations share a limit, and what a restart must not forget.

Each limit exists once, under its name: `endpoint:` and a short hash of the webhook, `channel:` and the server's name of the channel,
`address:` and the service or server. While a destination's channel is not known, its endpoint stands for the channel. When two
destinations set different rates for a limit that they share, the slower rate applies.

What limits learned is saved with the outcome that taught it, in the same commit: `changed_limits` returns what the journal does not have
yet, whichever lane learned it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.destinations.registry import pace as pace_of
from tocsind.journal import LimitState, RequestRecord
from tocsind.policy.bucket import Rate
from tocsind.policy.limiter import Limiter
from tocsind.policy.pace import Pace, Rates
from tocsind.policy.rate_limits import ChannelLimit, HostLimit, RateLimit, SavedLimit, WebhookLimit, windows

from .store import LimitStore
from .turns import TurnQueue

AnyLimit = TypeVar("AnyLimit", bound=RateLimit)

LONGEST_BLOCK = 86400.0  # s; a block whose length was not saved ends after a day at the latest


class LimiterRegistry:
    """All limits by name, and all turn queues. Rates set by destinations and limits learned from servers are kept apart."""

    def __init__(self, store: LimitStore, clock: Clock, pace: Callable[[DestinationOptions], Pace] = pace_of) -> None:
        self._store = store
        self._clock = clock
        self._pace = pace
        self._building = trio.Lock()  # two lanes that ask for one channel at once must get the same turn queue
        self._limits: dict[str, RateLimit] = {}
        self._turn_queues: dict[str, TurnQueue] = {}
        self._rates: defaultdict[str, dict[str, tuple[Rate, ...]]] = defaultdict(
            dict
        )  # by limit, then by the destination that sets it
        self._in_use: dict[str, tuple[Rate, ...]] = {}  # by limit: the rate that applies
        self._saved: dict[str, SavedLimit] = {}

    async def limiter(self, options: DestinationOptions) -> Limiter:
        """A limiter for a destination, with what earlier requests used up. The lane adds the channel when it is known."""
        rates, name = self._pace(options), f"endpoint:{options.endpoint}"
        async with self._building:
            known = name in self._limits
            endpoint = await self._limit(name, options, rates.endpoint, WebhookLimit)
            make_address = partial(HostLimit, guard=rates.guard)
            address = await self._limit(f"address:{options.address}", options, rates.address, make_address)
            limiter = Limiter(options.limit, endpoint, address=address)
            for each in await self._store.requests(name, options.name):
                limiter.restore_requests(self._answered(each), expedited=each.expedited, endpoint=not known)
        return limiter

    async def turn_queue(self, options: DestinationOptions, channel: str | None) -> TurnQueue:
        """The turn queue of a channel. None: the channel is not known, and the destination gets a turn queue of its own."""
        name = f"channel:{options.kind}:{channel}" if channel else f"channel:{options.kind}:of {options.endpoint}"
        async with self._building:
            self._withdraw(options.name, [each for each in self._rates if each.startswith("channel:") and each != name])
            limit = await self._limit(name, options, self._pace(options).channel, ChannelLimit)
            if name not in self._turn_queues:
                for each in await self._store.requests(name, options.name):
                    limit.restore_request(self._answered(each), expedited=each.expedited)
                self._turn_queues[name] = TurnQueue(name, limit, self._clock)
        return self._turn_queues[name]

    def changed_limits(self) -> list[LimitState]:
        """The limits that have changed since the last call; the caller must save them."""
        found = {name: limit.saved() for name, limit in self._limits.items()}
        changed = [name for name, saved in found.items() if saved != self._saved[name]]
        self._saved = found
        return [self._to_steady(name, found[name]) for name in changed]

    def notify_all(self) -> None:
        """A limit that destinations share has changed: let the senders in all turn queues check again."""
        for queue in self._turn_queues.values():
            queue.notify()

    async def _limit(
        self, name: str, options: DestinationOptions, rate: Rates, make: Callable[[Rates], AnyLimit]
    ) -> AnyLimit:
        if name not in self._limits:
            limit: AnyLimit = make(rate)
            limit.restore(self._from_steady(await self._store.load_limit(name)))
            self._limits[name], self._saved[name], self._in_use[name] = limit, limit.saved(), windows(rate)
        found: AnyLimit = self._limits[name]  # type: ignore[assignment]  # the name's prefix says which class
        if rate is not None:
            self._rates[name][options.name] = windows(rate)
            self._apply_slowest(name)
        return found

    def learn(self, limits: Iterable[LimitState]) -> None:
        """What another host learned of limits that exist here."""
        for each in limits:
            if each.scope in self._limits:
                self._limits[each.scope].restore(self._from_steady(each))

    def divide(self, options: DestinationOptions, name: str, hosts: int) -> None:
        """Use a limit of a destination at a share: as many hosts use it without knowing of each other. One: all of it."""
        if hosts <= 1:
            self._withdraw(_DIVIDED, [name])
        elif rates := self._rates[name].get(options.name):
            self._rates[name][_DIVIDED] = tuple(_divided(rate, hosts) for rate in rates)
            self._apply_slowest(name)

    def forget(self, destination: str) -> None:
        """A destination was removed: the rates that it set no longer apply."""
        self._withdraw(destination, list(self._rates))

    def _withdraw(self, destination: str, names: Iterable[str]) -> None:
        for name in names:
            if self._rates[name].pop(destination, None) is not None and self._rates[name]:
                self._apply_slowest(name)

    def _apply_slowest(self, name: str) -> None:
        slowest = min(self._rates[name].values(), key=_per_second)
        if slowest != self._in_use[name]:
            self._in_use[name] = slowest
            self._limits[name].apply_rate(slowest)

    def _answered(self, request: RequestRecord) -> float:
        """When a request was answered, on the monotonic clock of this run. The server may have counted a request without an answer as late
        as now. A time in the future was saved before a reboot at which the wall clock was set back; it becomes now.
        """
        now = self._clock.now()
        return now if request.at is None else min(request.at + self._skew(), now)

    def _skew(self) -> float:
        return self._clock.now() - self._clock.steady()

    def _from_steady(self, saved: LimitState) -> SavedLimit:
        known = msgspec.structs.asdict(saved)
        del known["scope"]
        if saved.blocked_until is not None:  # the wall clock may have been set during a reboot
            longest = LONGEST_BLOCK if saved.blocked_for is None else saved.blocked_for
            known["blocked_until"] = min(saved.blocked_until + self._skew(), self._clock.now() + longest)
        if saved.learned_at is not None:
            known["learned_at"] = min(saved.learned_at + self._skew(), self._clock.now())
        return SavedLimit(**known)

    def _to_steady(self, name: str, saved: SavedLimit) -> LimitState:
        known = msgspec.structs.asdict(saved)
        for instant in ("blocked_until", "learned_at"):
            if known[instant] is not None:
                known[instant] -= self._skew()
        return LimitState(scope=name, **known)


_DIVIDED = "a share"  # in place of a destination; no destination's name has a blank


def _divided(rate: Rate, hosts: int) -> Rate:
    """The share of one of so many hosts: together they stay below the rate, whenever each of them begins."""
    count = rate.count // hosts
    return Rate(count, rate.per) if count else Rate(1, rate.per * hosts / rate.count)


def _per_second(rates: tuple[Rate, ...]) -> float:
    """Requests a second that all windows together permit in the long run."""
    return min(rate.count / rate.per for rate in rates)
