"""The keys of a route."""

from __future__ import annotations

from collections.abc import Collection

from tocsin.signals import PRIORITIES
from tocsind.policy.routes import ROUTE_KEYS, Route

from .reader import Field, Location, Mistake, kind_of, read_table
from .values import duration, filled, flag, one_of, several, text

_WHEN = {
    key: Field(filled(several(one_of(PRIORITIES, "priority") if key == "priority" else text))) for key in ROUTE_KEYS
}


def routes(location: Location, names: Collection[str]) -> tuple[Route, ...]:
    """All routes, in the order in which they are tried; `names` are all destinations."""
    if not isinstance(location.value, list):
        raise Mistake(f"must be written as [[routes]], not as {kind_of(location.value)}")
    return tuple(_route(location.at(index), names) for index in range(len(location.value)))


def _route(location: Location, names: Collection[str]) -> Route:
    to = filled(several(one_of(names, "destination")))
    fields = {
        "when": Field(when),
        "to": Field(to, missing='missing; write it like to = ["NAME"]'),
        "continue": Field(flag),
        "delay": Field(duration),
    }
    found = read_table(location, fields)
    return Route(
        to=found.get("to", ()),
        when=found.get("when", {}),
        continues=found.get("continue", False),
        delay=found.get("delay", 0.0),
    )


def when(location: Location) -> dict[str, tuple[str, ...]]:
    """The `when` of a route, or of quiet hours."""
    return read_table(location, _WHEN)


def takes_everything(route: Route) -> bool:
    """Whether no signal can fail to match."""
    return all(key == "priority" and set(PRIORITIES) <= set(values) for key, values in route.when.items())
