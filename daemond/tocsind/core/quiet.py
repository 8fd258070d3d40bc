"""Quiet hours and delays of the configuration in force, at this moment.

Three checks keep a delivery from being posted in quiet hours:

    acceptance      a signal that the quiet holds is stored as held (`holds_of`)
    the beginning   what waits when the quiet begins is held (`timekeeper`)
    the claim       whatever the way by which a delivery became queued in the quiet (a retry, a fallback, a restart), it is held in place of
                    its next attempt (`settle.JournalStore.begin`)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.durations import format_duration
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet import Hold, QuietHours
from tocsind.policy.routes import delays

from .active_config import ActiveConfig


class Quiet:
    """Decides what is held. Its answers follow the configuration and the wall clock."""

    def __init__(self, config: ActiveConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._rules = config.current.quiet
        self._hours = QuietHours(self._rules)

    @property
    def hours(self) -> QuietHours:
        """The quiet hours of the configuration in force."""
        if self._rules is not self._config.current.quiet:
            self._rules = self._config.current.quiet
            self._hours = QuietHours(self._rules)
        return self._hours

    def hold(self, signal: Signal, priority: Priority) -> Hold | None:
        """Why and until when quiet hours hold a signal now; None if they do not."""
        return self.hours.hold(signal, priority, self._clock.wall()) if self._config.current.quiet else None

    def holds(self, deliveries: Iterable[Delivery]) -> dict[int, Hold]:
        """Those of these deliveries that quiet hours hold now, by number."""
        if not self._config.current.quiet:
            return {}
        found = ((each.number, self.hold(each.signal, each.priority)) for each in deliveries)
        return {number: hold for number, hold in found if hold}

    def delays(self, deliveries: Iterable[Delivery]) -> dict[int, Hold | None]:
        """Until when the present routes delay these deliveries, by number; None: they do not.

        One whose destination is gone is left out: it is rerouted at the end of its own delay.
        """
        config = self._config.current
        found = dict[int, Hold | None]()
        for each in deliveries:
            if each.destination in config.destinations:
                seconds = delays(each.signal, each.priority, config.routes).get(each.destination)
                found[each.number] = _delay(seconds, each.accepted + each.skew) if seconds else None
        return found

    def holds_of(
        self, signal: Signal, priority: Priority, destinations: Iterable[str], delays: Mapping[str, float], since: float
    ) -> dict[str, Hold]:
        """The destinations at which a new signal is held. `delays` are those of its routes, and `since` when it was sent (steady clock).

        A delay comes first: at its end the quiet is asked again.
        """
        quiet = self.hold(signal, priority)
        if quiet is None and not delays:
            return {}
        found = {name: _delay(delays[name], since) if name in delays else quiet for name in destinations}
        return {name: hold for name, hold in found.items() if hold}


def _delay(seconds: float, since: float) -> Hold:
    return Hold(since + seconds, f"held for {format_duration(seconds)} by the delay of its route", is_quiet=False)
