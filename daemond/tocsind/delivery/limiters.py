"""All gates: which scopes are shared by whom, and what of them outlives a restart.

A scope is known by its name, and there is one of each: `endpoint:` and a short hash of the webhook, `channel:` and what the far end calls
it, `address:` and the kind. While a destination's channel is not known, the endpoint stands for it. When two destinations name different
rates for what they share, the slower holds.

What scopes learned is written down with the outcome that taught it, whoever's it was: `changed` answers what the journal does not know yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.destinations.registry import Pace
from tocsind.destinations.registry import pace as pace_of
from tocsind.journal import LimitState, RequestRecord
from tocsind.policy.bucket import Rate
from tocsind.policy.limiter import Limiter
from tocsind.policy.rate_limits import ChannelLimit as ChannelScope
from tocsind.policy.rate_limits import HostLimit, RateLimit, SavedLimit, WebhookLimit

from .store import LimitStore
from .turns import TurnQueue

AnyLimit = TypeVar("AnyLimit", bound=RateLimit)

LONGEST_BLOCK = 86400.0  # seconds; the longest wait that a far end may ask for


class LimiterRegistry:
    """The scopes by name."""

    def __init__(self, books: LimitStore, clock: Clock, pace: Callable[[DestinationOptions], Pace] = pace_of) -> None:
        self._store = books
        self._clock = clock
        self._pace = pace
        self._building = trio.Lock()  # two lanes that look for one channel at once shall find the same
        self._limits: dict[str, RateLimit] = {}
        self._turn_queues: dict[str, TurnQueue] = {}
        self._rates: defaultdict[str, dict[str, Rate]] = defaultdict(dict)  # by scope, and who named it
        self._in_use: dict[str, Rate | None] = {}  # by scope, of these
        self._saved: dict[str, SavedLimit] = {}

    async def limiter(self, options: DestinationOptions) -> Limiter:
        """A destination's gate; its channel is still to be found."""
        rates, name = self._pace(options), f"endpoint:{options.endpoint}"
        async with self._building:
            known = name in self._limits
            endpoint = await self._limit(name, options, rates.endpoint, WebhookLimit)
            address = await self._limit(f"address:{options.kind}", options, rates.address, HostLimit)
            gate = Limiter(options.limit, endpoint, address=address)
            for each in await self._store.requests(name, options.name):
                gate.restore_requests(self._answered(each), expedited=each.expedited, endpoint=not known)
        return gate

    async def turn_queue(self, options: DestinationOptions, found: str | None) -> TurnQueue:
        """The channel that a destination leads into, as the far end calls it; None: it did not say."""
        name = f"channel:{options.kind}:{found}" if found else f"channel:{options.kind}:of {options.endpoint}"
        async with self._building:
            self._withdraw(options.name, [each for each in self._rates if each.startswith("channel:") and each != name])
            scope = await self._limit(name, options, self._pace(options).channel, ChannelScope)
            if name not in self._turn_queues:
                for each in await self._store.requests(name, options.name):
                    scope.restore_request(self._answered(each), expedited=each.expedited)
                self._turn_queues[name] = TurnQueue(name, scope, self._clock)
        return self._turn_queues[name]

    def changed_limits(self) -> list[LimitState]:
        """What was learned since it was last written down; whoever asks writes it."""
        found = {name: scope.saved() for name, scope in self._limits.items()}
        fresh = [name for name, memory in found.items() if memory != self._saved[name]]
        self._saved = found
        return [self._to_wall_time(name, found[name]) for name in fresh]

    def notify_all(self) -> None:
        """Something that all share has changed: let every line look again."""
        for channel in self._turn_queues.values():
            channel.notify()

    async def _limit(
        self, name: str, options: DestinationOptions, rate: Rate | None, make: Callable[[Rate | None], AnyLimit]
    ) -> AnyLimit:
        if name not in self._limits:
            scope: AnyLimit = make(rate)
            scope.restore(self._from_wall_time(await self._store.load_limit(name)))
            self._limits[name], self._saved[name], self._in_use[name] = scope, scope.saved(), rate
        found: AnyLimit = self._limits[name]  # type: ignore[assignment]  # the name's first word says which kind
        if rate is not None:
            self._agree(name, options.name, rate)
        return found

    def _agree(self, name: str, destination: str, rate: Rate) -> None:
        """A destination wishes its scope to have this rate; of all wishes the slowest holds."""
        self._rates[name][destination] = rate
        self._keep_slowest(name)

    def forget(self, destination: str) -> None:
        """A destination is gone, and what it wished for its scopes with it."""
        self._withdraw(destination, list(self._rates))

    def _withdraw(self, destination: str, names: Iterable[str]) -> None:
        for name in names:
            if self._rates[name].pop(destination, None) is not None and self._rates[name]:
                self._keep_slowest(name)

    def _keep_slowest(self, name: str) -> None:
        slowest = min(self._rates[name].values(), key=lambda each: each.count / each.per)
        if slowest != self._in_use[name]:
            self._in_use[name] = slowest
            self._limits[name].apply_rate(slowest)

    def _answered(self, request: RequestRecord) -> float:
        """On today's monotonic clock. What was open when the last run ended may have been counted until now; and no request lies ahead
        of us: one that seems to was stamped before a reboot at which the wall clock was set back.
        """
        now = self._clock.now()
        return now if request.at is None else min(request.at + self._skew(), now)

    def _skew(self) -> float:
        return self._clock.now() - self._clock.steady()

    def _from_wall_time(self, memory: LimitState) -> SavedLimit:
        known = msgspec.structs.asdict(memory)
        del known["scope"]
        if memory.blocked_until is not None:  # the wall clock may have been set over a reboot
            longest = LONGEST_BLOCK if memory.blocked_for is None else memory.blocked_for
            known["blocked_until"] = min(memory.blocked_until + self._skew(), self._clock.now() + longest)
        if memory.learned_at is not None:
            known["learned_at"] = min(memory.learned_at + self._skew(), self._clock.now())
        return SavedLimit(**known)

    def _to_wall_time(self, name: str, memory: SavedLimit) -> LimitState:
        known = msgspec.structs.asdict(memory)
        for instant in ("blocked_until", "learned_at"):
            if known[instant] is not None:
                known[instant] -= self._skew()
        return LimitState(scope=name, **known)
