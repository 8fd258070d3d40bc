"""Warnings about a configuration without problems: what is allowed, and probably a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsind.policy.routes import Route, chain

from .model import DestinationOptions
from .reader import Location
from .routes import takes_everything

_Destinations = Mapping[str, DestinationOptions]


def advise(top: Location, destinations: _Destinations, routes: Sequence[Route]) -> None:
    """Record the warnings that need the whole file. `top` is the file's outermost table."""
    fallbacks = {name: destination.fallback for name, destination in destinations.items()}
    _warn_of_routes(top.at("routes"), routes)
    below = top.at("destinations")
    _warn_of_unused(below, destinations, routes)
    _warn_of_dead_ends(below, destinations, fallbacks)
    _warn_of_shared_files(below, destinations)
    _warn_of_silenced_mentions(below, destinations)


def _warn_of_routes(location: Location, routes: Sequence[Route]) -> None:
    everything = [index for index, route in enumerate(routes) if takes_everything(route)]
    if not everything:
        location.warn(
            "no route takes everything: a signal that no route takes is kept as dead; end with a route that has no `when`"
        )
    last = next((index for index in everything if not routes[index].continues), len(routes))
    for index in range(last + 1, len(routes)):
        location.at(index).warn("never reached: an earlier route takes everything")


def _warn_of_unused(location: Location, destinations: _Destinations, routes: Sequence[Route]) -> None:
    named = {name for route in routes for name in route.to}
    named.update(name for destination in destinations.values() for name in destination.fallback)
    for name in destinations:
        if name not in named:
            location.at(name).warn("no route and no fallback names it: only a signal that asks for it gets there")


def _warn_of_dead_ends(location: Location, destinations: _Destinations, fallbacks: Mapping[str, Sequence[str]]) -> None:
    for name, destination in destinations.items():
        ways = (name, *chain(name, fallbacks))
        if all(destinations[way].disabled for way in ways):
            location.at(name).warn(f"disabled ({destination.disabled}), and nothing else can stand in for it")


def _warn_of_shared_files(location: Location, destinations: _Destinations) -> None:
    first: dict[str, str] = {}
    for name, destination in destinations.items():
        if destination.options.path:
            other = first.setdefault(destination.options.path, name)
            if other != name:
                location.at(name).at("path").warn(f'"{other}" writes to the same file')


def _warn_of_silenced_mentions(location: Location, destinations: _Destinations) -> None:
    for name, destination in destinations.items():
        for priority in destination.options.mention.keys() & destination.options.silent:
            location.at(name).at("mention").at(priority).warn("has no effect: `silent` names this priority as well")
