"""Starts, stops and replaces lanes when the configuration changes.

A lane whose options did not change stays through a reload, with its limiter and breaker, and asks for its channel again. Any other lane is
stopped: its request in flight finishes, then a new lane starts from what the journal holds. Limits that lanes share (`limiters`) outlive
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import trio

from tocsind.clock import Clock
from tocsind.config import Config, DestinationOptions
from tocsind.core.active_config import ActiveConfig
from tocsind.core.operator import Operator
from tocsind.core.wakeups import Wakeups
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.events import Emit
from tocsind.journal import LaneState, LimitState
from tocsind.policy.patience import ShutOut, Trouble

from .lane import Lane
from .limiters import LimiterRegistry
from .store import DeliveryStore
from .trouble import trouble_of
from .turns import TurnQueue


class Supervisor:
    """The lanes by name. Each lane is a task in the nursery that `apply` is given."""

    def __init__(
        self,
        config: ActiveConfig,
        store: DeliveryStore,
        *,
        operator: Operator,
        wakeups: Wakeups,
        clock: Clock,
        emit: Emit,
        folder: Path,
        client: HttpClient,
    ) -> None:
        self._config = config
        self._store = store
        self._operator = operator
        self._wakeups = wakeups
        self._clock = clock
        self._emit = emit
        self._folder = folder
        self._client = client
        self._limiters = LimiterRegistry(store, clock)
        self._lanes: dict[str, Lane] = {}
        self._stops: dict[str, Callable[[], None]] = {}
        self._finished: dict[str, trio.Event] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, name: str) -> Lane | None:
        """The lane of a destination."""
        return self._lanes.get(name)

    async def apply(self, config: Config, nursery: trio.Nursery) -> None:
        """Start, stop and replace lanes so that they match the configuration.

        Lanes of removed destinations end first, while their fallbacks are known. Then each changed lane is replaced as soon as its own
        request in flight has ended, and is listed until then.
        """
        removed = [lane.name for lane in self if lane.name not in config.destinations]
        for name in removed:
            self._stops[name]()
        for name in removed:
            await self._ended(name)
            del self._lanes[name], self._wakeups.lanes[name]
        self._config.current = config  # before a new lane asks for its fallbacks
        async with trio.open_nursery() as replacing:
            for lane in self:
                options = config.destinations[lane.name]
                if options == lane.options:
                    lane.rediscover()
                else:
                    replacing.start_soon(self._replace, options, nursery)
            await self._start_missing(config, nursery)

    async def add_missing(self, config: Config, nursery: trio.Nursery) -> None:
        """As `apply`, for a configuration that only adds destinations to the last one."""
        self._config.current = config
        await self._start_missing(config, nursery)

    async def _start_missing(self, config: Config, nursery: trio.Nursery) -> None:
        for options in config.destinations.values():
            if options.name not in self._lanes:
                await self._start(options, nursery)
        await self._operator.requeue_orphans()
        self._wakeups.notify_schedule()

    async def _start(self, options: DestinationOptions, nursery: trio.Nursery) -> None:
        destination = build(options, self._client, self._folder)
        lane = Lane(options, destination, self._store, self._limiters, self._clock, self._emit)
        await lane.restore()
        self._lanes[options.name] = self._wakeups.lanes[options.name] = lane
        self._finished[options.name] = trio.Event()
        scope = trio.CancelScope()
        self._stops[options.name] = scope.cancel
        nursery.start_soon(self._run_lane, lane, scope, self._finished[options.name])

    async def _run_lane(self, lane: Lane, scope: trio.CancelScope, finished: trio.Event) -> None:
        with scope:
            await lane.run()
        finished.set()

    async def _replace(self, options: DestinationOptions, nursery: trio.Nursery) -> None:
        self._stops[options.name]()
        await self._ended(options.name)
        await self._start(options, nursery)

    async def _ended(self, name: str) -> None:
        """Wait until a stopped lane has ended, and withdraw the rates that it asked for."""
        await self._finished[name].wait()
        del self._stops[name], self._finished[name]
        self._limiters.forget(name)

    def take_over(
        self,
        name: str,
        saved: LaneState | None,
        limits: Collection[LimitState],
        requests: Collection[tuple[float, bool]],
    ) -> None:
        """Let a lane continue from what another host learned. `requests`: when each was answered (monotonic), whether it was expedited;
        those into the channel are counted there already (`turn_queue`).
        """
        self.learn(limits)
        lane = self._lanes[name]
        for at, expedited in requests:
            lane.limiter.restore_requests(at, expedited=expedited, endpoint=True)
        if saved is not None:
            lane.adopt_channel(saved.channel)
            lane.feedback.adopt(saved)
        lane.refresh()

    def trouble(self, name: str) -> Trouble | None:
        """Why a lane does not deliver; None when nothing is known against it."""
        lane = self._lanes.get(name)
        return trouble_of(lane) if lane else None

    def leave(self, name: str) -> None:
        """Another host sends from now on."""
        if lane := self._lanes.get(name):
            lane.feedback.leave()

    def stand_by(self, name: str, shut_out: ShutOut | None, *, sends: bool) -> None:
        """Whether this host sends to a destination, and why the other hosts do not send for it."""
        if lane := self._lanes.get(name):
            lane.rerouting.stand_by(shut_out, sends=sends)
            if lane.disabled is not None:
                lane.recheck_fallbacks()

    def turn_queue(self, destination: str) -> TurnQueue | None:
        """The turn queue of a destination, with the limit of its channel; None without a lane."""
        lane = self._lanes.get(destination)
        return lane.turns if lane else None

    def learn(self, limits: Collection[LimitState]) -> None:
        """Use what another host learned of limits."""
        self._limiters.learn(limits)

    def share_limits(self, name: str, hosts: int, in_channel: int) -> None:
        """Let a lane send at the share of one of so many hosts, and of so many in its channel, which do not know of each other's requests
        now; 1: all of it.
        """
        lane = self._lanes[name]
        self._limiters.divide(lane.options, f"endpoint:{lane.options.endpoint}", hosts)
        self._limiters.divide(lane.options, lane.turns.name, in_channel)
        lane.refresh()

    def drain(self) -> None:
        """Stop all lanes: none makes a new request, requests in flight finish."""
        for stop in self._stops.values():
            stop()

    def abandon(self) -> None:
        """Do not wait for requests in flight."""
        for lane in self:
            lane.abandon()
