"""Which destination gets the signals of the daemon itself: alarms, their all-clears, and reports of losses.

It is the nearest one that works and that people read (`policy.alarm_throttle.readable_first`): first where an explicit route for
`source = "tocsin"` leads, then the fallbacks of the destination concerned, otherwise where the routes lead, then any other. The destination
concerned is never chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.signals import Signal
from tocsind.core.active_config import ActiveConfig
from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS, LaneView
from tocsind.policy.alarm_throttle import UNREAD_KINDS, readable_first
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import Fitness
from tocsind.policy.routes import by_rules, chain
from tocsind.policy.sources import DAEMON_SOURCE


class AlarmRoutes:
    """Answers for the configuration in force and the lanes as they are now."""

    def __init__(self, config: ActiveConfig, lanes: Iterable[Lane]) -> None:
        self._config = config
        self._lanes = lanes

    def working(self, unreachable: str | None) -> str | None:
        """The destination for an alarm; `unreachable` is the one that the alarm concerns, if any. None when none works."""
        working = {view.name for view in self._views() if _works(view)}
        return next((name for name in self.all(unreachable) if name in working), None)

    def fallback(self, name: str | None) -> str | None:
        """What people read of the destination that takes the alerts of `name` now: the nearest fallback that works; None without one."""
        if name is None:
            return None
        working = {view.name for view in self._views() if _works(view)}
        found = next((each for each in chain(name, self._config.current.fallbacks) if each in working), None)
        return found if found is None or self.is_read(found) else f"the file {found}"

    def is_up(self, name: str) -> bool:
        """Whether the destination of this name works."""
        return any(view.name == name and _works(view) for view in self._views())

    def is_read(self, name: str | None) -> bool:
        """Whether people read the destination of this name."""
        options = self._config.current.destinations.get(name) if name else None
        return options is not None and options.kind not in UNREAD_KINDS

    def all(self, unreachable: str | None) -> tuple[str, ...]:
        """All destinations but the one concerned, the best first."""
        destinations = self._config.current.destinations
        kinds = {name: options.kind for name, options in destinations.items()}
        near = [name for name in dict.fromkeys(self._near(unreachable)) if name in kinds and name != unreachable]
        chosen = [name for name in self._chosen() if name in near]
        return tuple(
            dict.fromkeys((*chosen, *readable_first(near, kinds, kinds.get(unreachable) if unreachable else None)))
        )

    def _views(self) -> Iterator[LaneView]:
        return (lane.snapshot() for lane in self._lanes)

    def _chosen(self) -> tuple[str, ...]:
        """Where a route says that the daemon's own signals go."""
        routes = [route for route in self._config.current.routes if "source" in route.when]
        return by_rules(Signal("alarm", source=DAEMON_SOURCE), Priority.HIGH, routes)

    def _near(self, unreachable: str | None) -> Iterator[str]:
        config = self._config.current
        if unreachable is not None:
            yield from chain(unreachable, config.fallbacks)
        else:
            for name in by_rules(Signal("alarm", source=DAEMON_SOURCE), Priority.HIGH, config.routes):
                yield name
                yield from chain(name, config.fallbacks)
        yield from config.destinations


def _works(view: LaneView) -> bool:
    """Whether it delivers now, or in less than a minute."""
    short_block = 0 < view.limits.blocked_for < LONG_BLOCK_SECONDS
    return view.fitness is Fitness.WORKING or (short_block and not view.outage.fails)
