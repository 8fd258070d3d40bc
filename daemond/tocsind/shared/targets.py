"""The state of each target on this host: the holder of its lease, until when this host may send, reports that the engine has yet to get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Final

import trio

from tocsind.clock import Clock
from tocsind.config import DestinationOptions
from tocsind.core.active_config import ActiveConfig
from tocsind.journal import RequestRecord
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import ShutOut

from .engine import LEASE_MS, Cause, EngineAway, Settled, Tended
from .outs import Out, is_local, read

MARGIN: Final = 0.2  # s before its end at which a lease is not trusted any more
DEGRADED: Final = (Priority.URGENT, Priority.HIGH)


class Target:
    """A far end that hosts share. `token` is that of the lease which this host held last; `valid_until` is monotonic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token = ""
        self.holder = ""
        self.valid_until = -inf
        self.is_behind = True  # another host may have learned more than this one
        self.is_left = False  # an attempt ended after the lease had gone: deliveries of other hosts may be left here
        self.is_due = True  # the journal may have something to report or to hand over
        self.is_stale = True  # the engine may have something for this host
        self.scan_at = 0.0  # monotonic: when to search for deliveries that ended without an attempt
        self.is_leaving = False  # the lease is given back when nothing is in flight
        self.changed_at = -inf  # monotonic: it has had this holder, or none, since then
        self.stays_until = -inf  # monotonic: it is not handed on
        self.starting = 0  # attempts that are about to be noted in the engine
        self.settling = 0  # attempts that are in the journal, and not yet in `owed`
        self.telling = trio.Lock()
        self.ready = False  # the state of earlier holders is here
        self.epoch = ""
        self.heard_at = -inf  # monotonic: when the engine last answered
        self.sends_alone = False  # from lease to lease no other host had one
        self.superseded = False  # another host had the lease since this one
        self.senders: dict[str, float] = {}  # hosts that had the lease: when they were last seen with it, monotonic
        self.hosts = 1
        self.places: dict[int, str] = {}  # by priority: how far the engine was read
        self.requests: dict[str, str] = {}  # destination -> the request in flight
        self.owed: list[Settled] = []  # not reported to the engine, which was away
        self.learned: list[RequestRecord] = []  # requests of other hosts, on this host's steady clock
        self.known: set[str] = set()  # names of those
        self.moving = trio.Lock()  # deliveries are handed over, or taken back
        # Reasons why hosts cannot send (trouble). Instants are monotonic.
        self.seen: Sequence[str] = ()
        self.outs: dict[str, dict[str, Out]] = {}  # by host
        self.held_until: float | None = None  # when a host was last seen with the lease; None: not asked yet
        self.held_since = -inf  # by this host
        self.bad_since: float | None = None  # it holds the lease, and does not get through
        self.times_left = 0  # how often it gave the lease back for that
        self.passed_until = -inf  # until then it asks for the lease only if no host gets through
        self.passed_over: dict[str, Out] = {}  # and why
        self.shut_out: dict[str, ShutOut | None] = {}  # by destination

    def on_tended(self, tended: Tended, host: str, asked: float, now: float) -> bool:
        """The engine has answered a question of `asked` (monotonic). Whether this host has just got the lease."""
        if tended.holder != self.holder:
            self.changed_at = asked
        self.holder, self.hosts, self.heard_at = tended.holder, max(1, tended.hosts), asked
        self.seen, self.outs = tended.seen, {name: read(note) for name, note in tended.troubles.items()}
        if tended.holder or self.held_until is None:
            self.held_until = asked
        if tended.holder:
            self.senders[tended.holder] = asked
        if tended.holder != host:
            self.is_behind |= bool(tended.holder)
            self.superseded |= bool(tended.holder)
            return False
        is_new = tended.token != self.token or not self.holds(asked)
        if tended.token != self.token:  # a lease that was valid until now was no other host's meanwhile
            self.sends_alone = now < self.valid_until and not self.superseded
        self.superseded = False
        self.held_since = asked if is_new else self.held_since
        self.token, self.valid_until = tended.token, asked + LEASE_MS / 1000 - MARGIN
        return is_new

    @property
    def claim(self) -> str:
        """The token, if no other host is known to have had the lease since."""
        return "" if self.superseded else self.token

    def sent_since(self, instant: float) -> list[str]:
        """The hosts that were seen with the lease since this monotonic instant."""
        return [host for host, at in self.senders.items() if at >= instant]

    def holds(self, now: float) -> bool:
        """Whether this host may send."""
        return self.ready and now < self.valid_until

    def others(self, host: str) -> list[str]:
        """Other hosts that get through, as far as is known."""
        return [name for name in self.seen if name != host and not is_local(self.outs.get(name, {}))]

    def start_over(self) -> None:
        """The engine does not know this host by its name, or not any more: it has no lease, and has handed nothing over."""
        self.lose()
        self.holder, self.epoch, self.superseded, self.is_behind = "", "", True, True
        self.held_until = None
        self.shut_out.clear()

    def lose(self) -> None:
        """Another host may send now. The token stays: it proves who held the lease last."""
        self.ready, self.valid_until = False, -inf
        self.places.clear()


class Targets:
    """The targets of the configuration, by name; and which destinations lead to them."""

    def __init__(self, config: ActiveConfig, clock: Clock, *, degrades: bool) -> None:
        self._config = config
        self._clock = clock
        self.degrades = degrades
        self._targets: dict[str, Target] = {}
        self._options: dict[str, DestinationOptions] = {}  # of all that were shared in this run
        self.is_alone = False  # this host has never met another one
        self.offset = 0.0  # engine's clock minus this host's steady clock
        self.away_since: float | None = clock.now()  # monotonic; None: the engine can be used
        self.away = EngineAway(cause=Cause.UNASKED)  # why it cannot, or could not the last time

    def __iter__(self) -> Iterator[Target]:
        names = {options.endpoint for options in self._shared().values()}
        return iter([self._target(name) for name in sorted(names)])

    def known(self, name: str) -> Target:
        """The target of this name, also when no destination leads to it any more."""
        return self._target(name)

    def every(self) -> list[Target]:
        """All targets of this run."""
        return list(self._targets.values())

    def of(self, destination: str) -> Target | None:
        """The target of a destination; None when only this host sends to it."""
        options = self._config.current.destinations.get(destination)
        return self._target(options.endpoint) if options and options.is_shared else None

    def options(self, destination: str) -> DestinationOptions:
        """The options of a shared destination. After a reload has removed it: its last options."""
        return self._config.current.destinations.get(destination) or self._options[destination]

    def far_of(self, destination: str) -> str:
        """The fingerprint of the far end of a shared destination."""
        return self.options(destination).fingerprint

    def destinations(self, target: Target) -> Mapping[str, str]:
        """The destinations that lead to a target: name by the fingerprint of the far end."""
        return {
            options.fingerprint: name for name, options in self._shared().items() if options.endpoint == target.name
        }

    def names(self, target: Target) -> list[str]:
        """The destinations that lead to a target; two may have one far end."""
        return [name for name, options in self._shared().items() if options.endpoint == target.name]

    def all_names(self) -> list[str]:
        """All shared destinations."""
        return list(self._shared())

    def is_degraded(self, now: float) -> bool:
        """Whether the engine has been away for longer than any lease, and this host sends URGENT and HIGH on its own."""
        return self.degrades and self.is_away(now)

    def is_away(self, now: float) -> bool:
        """Whether the engine has been away for longer than any lease."""
        return self.away_since is not None and now - self.away_since > LEASE_MS / 1000

    def _shared(self) -> dict[str, DestinationOptions]:
        found = {name: options for name, options in self._config.current.destinations.items() if options.is_shared}
        self._options |= found
        return found

    def _target(self, name: str) -> Target:
        if name not in self._targets:
            self._targets[name] = Target(name)
        return self._targets[name]
