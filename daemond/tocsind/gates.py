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

from .books import ScopeBooks
from .channel import Channel
from .clock import Clock
from .config import DestinationOptions
from .destinations.registry import Pace
from .destinations.registry import pace as pace_of
from .journal import Request, ScopeMemory
from .policy.bucket import Rate
from .policy.gate import Gate
from .policy.scopes import Address, Endpoint, Memory, Scope
from .policy.scopes import Channel as ChannelScope

AnyScope = TypeVar("AnyScope", bound=Scope)

LONGEST_BLOCK = 86400.0  # seconds; the longest wait that a far end may ask for


class Gates:
    """The scopes by name."""

    def __init__(self, books: ScopeBooks, clock: Clock, pace: Callable[[DestinationOptions], Pace] = pace_of) -> None:
        self._books = books
        self._clock = clock
        self._pace = pace
        self._building = trio.Lock()  # two lanes that look for one channel at once shall find the same
        self._scopes: dict[str, Scope] = {}
        self._channels: dict[str, Channel] = {}
        self._rates: defaultdict[str, dict[str, Rate]] = defaultdict(dict)  # by scope, and who named it
        self._held: dict[str, Rate | None] = {}  # by scope, of these
        self._written: dict[str, Memory] = {}

    async def gate(self, options: DestinationOptions) -> Gate:
        """A destination's gate; its channel is still to be found."""
        rates, name = self._pace(options), f"endpoint:{options.endpoint}"
        async with self._building:
            known = name in self._scopes
            endpoint = await self._scope(name, options, rates.endpoint, Endpoint)
            address = await self._scope(f"address:{options.kind}", options, rates.address, Address)
            gate = Gate(options.limit, endpoint, address=address)
            for each in await self._books.requests(name, options.name):
                gate.remember(self._answered(each), pressing=each.pressing, endpoint=not known)
        return gate

    async def channel(self, options: DestinationOptions, found: str | None) -> Channel:
        """The channel that a destination leads into, as the far end calls it; None: it did not say."""
        name = f"channel:{options.kind}:{found}" if found else f"channel:{options.kind}:of {options.endpoint}"
        async with self._building:
            self._withdraw(options.name, [each for each in self._rates if each.startswith("channel:") and each != name])
            scope = await self._scope(name, options, self._pace(options).channel, ChannelScope)
            if name not in self._channels:
                for each in await self._books.requests(name, options.name):
                    scope.remember(self._answered(each), pressing=each.pressing)
                self._channels[name] = Channel(name, scope, self._clock)
        return self._channels[name]

    def changed(self) -> list[ScopeMemory]:
        """What was learned since it was last written down; whoever asks writes it."""
        found = {name: scope.memory() for name, scope in self._scopes.items()}
        fresh = [name for name, memory in found.items() if memory != self._written[name]]
        self._written = found
        return [self._on_the_wall(name, found[name]) for name in fresh]

    def nudge(self) -> None:
        """Something that all share has changed: let every line look again."""
        for channel in self._channels.values():
            channel.nudge()

    async def _scope(
        self, name: str, options: DestinationOptions, rate: Rate | None, make: Callable[[Rate | None], AnyScope]
    ) -> AnyScope:
        if name not in self._scopes:
            scope: AnyScope = make(rate)
            scope.restore(self._from_the_wall(await self._books.recall_scope(name)))
            self._scopes[name], self._written[name], self._held[name] = scope, scope.memory(), rate
        found: AnyScope = self._scopes[name]  # type: ignore[assignment]  # the name's first word says which kind
        if rate is not None:
            self._agree(name, options.name, rate)
        return found

    def _agree(self, name: str, destination: str, rate: Rate) -> None:
        """A destination wishes its scope to have this rate; of all wishes the slowest holds."""
        self._rates[name][destination] = rate
        self._hold_slowest(name)

    def forget(self, destination: str) -> None:
        """A destination is gone, and what it wished for its scopes with it."""
        self._withdraw(destination, list(self._rates))

    def _withdraw(self, destination: str, names: Iterable[str]) -> None:
        for name in names:
            if self._rates[name].pop(destination, None) is not None and self._rates[name]:
                self._hold_slowest(name)

    def _hold_slowest(self, name: str) -> None:
        slowest = min(self._rates[name].values(), key=lambda each: each.count / each.per)
        if slowest != self._held[name]:
            self._held[name] = slowest
            self._scopes[name].keep_to(slowest)

    def _answered(self, request: Request) -> float:
        """On today's monotonic clock. What was open when the last run ended may have been counted until now; and no request lies ahead
        of us: one that seems to was stamped before a reboot at which the wall clock was set back.
        """
        now = self._clock.now()
        return now if request.at is None else min(request.at + self._skew(), now)

    def _skew(self) -> float:
        return self._clock.now() - self._clock.steady()

    def _from_the_wall(self, memory: ScopeMemory) -> Memory:
        known = msgspec.structs.asdict(memory)
        del known["scope"]
        if memory.blocked_until is not None:  # the wall clock may have been set over a reboot
            longest = LONGEST_BLOCK if memory.blocked_for is None else memory.blocked_for
            known["blocked_until"] = min(memory.blocked_until + self._skew(), self._clock.now() + longest)
        if memory.learned_at is not None:
            known["learned_at"] = min(memory.learned_at + self._skew(), self._clock.now())
        return Memory(**known)

    def _on_the_wall(self, name: str, memory: Memory) -> ScopeMemory:
        known = msgspec.structs.asdict(memory)
        for instant in ("blocked_until", "learned_at"):
            if known[instant] is not None:
                known[instant] -= self._skew()
        return ScopeMemory(scope=name, **known)
