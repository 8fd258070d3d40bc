"""Which destination tells people about tocsin itself: alarms, their all-clears, and reports about signals that nobody saw.

The nearest one that works and that a person reads (`policy.alarms.by_reader`): where an explicit route for `source = "tocsin"` leads, then
the fallbacks of the destination concerned, else where the routes lead, then any other. The destination concerned is never taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.signals import Signal
from tocsind.core.active_config import ActiveConfig
from tocsind.delivery.lane import Lane
from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS
from tocsind.policy.alarm_throttle import UNREAD_KINDS, readable_first
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import Fitness
from tocsind.policy.routes import by_rules, chain
from tocsind.policy.sources import DAEMON_SOURCE


class AlarmRoutes:
    """Answers for today's configuration and today's lanes."""

    def __init__(self, config: ActiveConfig, lanes: Iterable[Lane]) -> None:
        self._config = config
        self._lanes = lanes

    def working(self, lost: str | None) -> str | None:
        """The destination that tells people; `lost` is the one concerned, if any. None when none works."""
        open_ = {lane.name for lane in self._lanes if self.works(lane)}
        return next((name for name in self.all(lost) if name in open_), None)

    def works(self, lane: Lane) -> bool:
        """Whether it delivers now, or in less than a minute."""
        waits = lane.blocked_for()
        return lane.fitness() is Fitness.WORKING or (0 < waits < LONG_BLOCK_SECONDS and not lane.rerouting.outage.fails)

    def is_up(self, name: str) -> bool:
        """Whether the destination of this name works."""
        return any(lane.name == name and self.works(lane) for lane in self._lanes)

    def is_read(self, name: str | None) -> bool:
        """Whether the destination of this name is one that a person reads."""
        options = self._config.current.destinations.get(name) if name else None
        return options is not None and options.kind not in UNREAD_KINDS

    def all(self, lost: str | None) -> tuple[str, ...]:
        """All but the one concerned, the best first."""
        destinations = self._config.current.destinations
        kinds = {name: options.kind for name, options in destinations.items()}
        near = [name for name in dict.fromkeys(self._same_service(lost)) if name in kinds and name != lost]
        chosen = [name for name in self._chosen() if name in near]
        return tuple(dict.fromkeys((*chosen, *readable_first(near, kinds, kinds.get(lost) if lost else None))))

    def _chosen(self) -> tuple[str, ...]:
        """Where a route says that our own signals go."""
        routes = [route for route in self._config.current.routes if "source" in route.when]
        return by_rules(Signal("alarm", source=DAEMON_SOURCE), Priority.HIGH, routes)

    def _same_service(self, lost: str | None) -> Iterator[str]:
        config = self._config.current
        if lost is not None:
            yield from chain(lost, config.fallbacks)
        else:
            for name in by_rules(Signal("alarm", source=DAEMON_SOURCE), Priority.HIGH, config.routes):
                yield name
                yield from chain(name, config.fallbacks)
        yield from config.destinations
