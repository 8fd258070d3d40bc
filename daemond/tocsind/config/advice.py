"""What is allowed, and probably not meant. Each piece of advice looks at a configuration that has no problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsind.policy.routes import Route, chain

from .model import DestinationOptions, DiscordOptions, FileOptions
from .reader import Location
from .routes import takes_everything

_Destinations = Mapping[str, DestinationOptions]


def advise(top: Location, destinations: _Destinations, routes: Sequence[Route]) -> None:
    """Write down all the warnings that only the whole file can give. `top` is the file's outermost table."""
    fallbacks = {name: destination.fallback for name, destination in destinations.items()}
    _about_routes(top.at("routes"), routes)
    below = top.at("destinations")
    _about_unused(below, destinations, routes)
    _about_dead_ends(below, destinations, fallbacks)
    _about_shared_files(below, destinations)
    _about_silenced_mentions(below, destinations)


def _about_routes(spot: Location, routes: Sequence[Route]) -> None:
    everything = [index for index, route in enumerate(routes) if takes_everything(route)]
    if not everything:
        spot.warn(
            "no route takes everything: a signal that none takes is kept as dead; end with one that has no `when`"
        )
    last = next((index for index in everything if not routes[index].continues), len(routes))
    for index in range(last + 1, len(routes)):
        spot.at(index).warn("never reached: an earlier route takes everything")


def _about_unused(spot: Location, destinations: _Destinations, routes: Sequence[Route]) -> None:
    named = {name for route in routes for name in route.to}
    named.update(name for destination in destinations.values() for name in destination.fallback)
    for name in destinations:
        if name not in named:
            spot.at(name).warn("no route and no fallback names it: only a signal that asks for it gets there")


def _about_dead_ends(spot: Location, destinations: _Destinations, fallbacks: Mapping[str, Sequence[str]]) -> None:
    for name, destination in destinations.items():
        ways = (name, *chain(name, fallbacks))
        if all(destinations[way].disabled for way in ways):
            spot.at(name).warn(f"disabled ({destination.disabled}), and nothing else can stand in for it")


def _about_shared_files(spot: Location, destinations: _Destinations) -> None:
    first: dict[str, str] = {}
    for name, destination in destinations.items():
        if isinstance(destination.options, FileOptions):
            other = first.setdefault(destination.options.path, name)
            if other != name:
                spot.at(name).at("path").warn(f'"{other}" writes to the same file')


def _about_silenced_mentions(spot: Location, destinations: _Destinations) -> None:
    for name, destination in destinations.items():
        if isinstance(destination.options, DiscordOptions):
            for priority in destination.options.mention.keys() & destination.options.silent:
                spot.at(name).at("mention").at(priority).warn("wakes nobody: `silent` names this priority as well")
