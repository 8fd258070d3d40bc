"""Which destinations a signal goes to, and its priority. Rules are tried in order; the first that matches wins unless it says `continue`.

A fallback chain is walked depth first, each destination once, so a loop in the configuration ends.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from tocsin.signals import PRIORITIES

from .delivery import Priority

MAX_CACHED = 1000  # kinds of signals; a rule on `key` would otherwise add one for each trade
ROUTE_KEYS = ("tier", "priority", "strategy", "symbol", "action", "source", "key", "tag")


class Routable(Protocol):
    """What is routed: a signal, or an object with its fields. Rules read some of them by name."""

    @property
    def id(self) -> str: ...
    @property
    def priority(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def expires(self) -> float | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def tags(self) -> list[str] | None: ...
    @property
    def to(self) -> list[str] | None: ...


class Thresholds(msgspec.Struct, frozen=True):
    """A signal without a priority becomes urgent or high when its confidence is strictly above these."""

    urgent: float = 0.90
    high: float = 0.80


class Route(msgspec.Struct, frozen=True):
    """A rule: every key in `when` must match one of its values."""

    to: tuple[str, ...]
    when: Mapping[str, tuple[str, ...]] = {}
    continues: bool = False  # the configuration's `continue`
    delay: float = 0.0  # seconds for which its destinations are held back


def priority_of(signal: Routable, thresholds: Thresholds) -> Priority:
    """The signal's own priority; else by its confidence; else NORMAL."""
    if signal.priority is not None:
        return Priority(PRIORITIES.index(signal.priority))
    confidence = signal.confidence or 0.0
    if confidence > thresholds.urgent:
        return Priority.URGENT
    return Priority.HIGH if confidence > thresholds.high else Priority.NORMAL


def route(signal: Routable, priority: Priority, routes: Sequence[Route]) -> tuple[str, ...]:
    """The destinations of a signal, each once, in the order of the rules; empty when no rule matches. A signal's own `to` takes
    precedence.
    """
    return tuple(dict.fromkeys(signal.to)) if signal.to else by_rules(signal, priority, routes)


class Router:
    """`priority_of` and `route` under one configuration, with a cache: most signals are alike in all fields that the rules read."""

    def __init__(self, thresholds: Thresholds, routes: Sequence[Route]) -> None:
        self._thresholds = thresholds
        self._routes = routes
        self._used_keys = sorted({key for rule in routes for key in rule.when} - {"priority", "tag"})
        self._uses_tags = any("tag" in rule.when for rule in routes)
        self._delays = any(rule.delay for rule in routes)
        self._cache: dict[Hashable, tuple[str, ...]] = {}

    def __call__(self, signal: Routable) -> tuple[Priority, tuple[str, ...]]:
        """The priority and the destinations of a signal."""
        priority = priority_of(signal, self._thresholds)
        if signal.to or self._uses_tags:
            return priority, route(signal, priority, self._routes)
        cache_key = (priority, *[getattr(signal, key) for key in self._used_keys])
        found = self._cache.get(cache_key)
        if found is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            found = self._cache[cache_key] = by_rules(signal, priority, self._routes)
        return priority, found

    def delays(self, signal: Routable, priority: Priority) -> dict[str, float]:
        """As the function of this name."""
        return delays(signal, priority, self._routes) if self._delays else {}


def by_rules(signal: Routable, priority: Priority, routes: Sequence[Route]) -> tuple[str, ...]:
    """The destinations by the rules alone, without the signal's own `to`."""
    found: dict[str, None] = {}
    for _, rule in applying(signal, priority, routes):
        found.update(dict.fromkeys(rule.to))
    return tuple(found)


def applying(signal: Routable, priority: Priority, routes: Sequence[Route]) -> Iterator[tuple[int, Route]]:
    """The rules that decide about a signal, each with its number in the configuration, from 1. A signal's own `to` is not considered."""
    for number, rule in enumerate(routes, 1):
        if matches(rule, signal, priority):
            yield number, rule
            if not rule.continues:
                return


def delays(signal: Routable, priority: Priority, routes: Sequence[Route]) -> dict[str, float]:
    """The seconds for which each destination is held back, without those that are not. A delay belongs to its route: a signal's own `to`
    passes it by, and of two routes to one destination the first counts.
    """
    found: dict[str, float] = {}
    for _, rule in () if signal.to else applying(signal, priority, routes):
        for name in rule.to:
            found.setdefault(name, rule.delay)
    return {name: delay for name, delay in found.items() if delay}


def matches(rule: Route, signal: Routable, priority: Priority) -> bool:
    """Whether every key of the rule matches."""
    return matches_all(rule.when, signal, priority)


def matches_all(when: Mapping[str, tuple[str, ...]], signal: Routable, priority: Priority) -> bool:
    """Whether every key of a `when` matches one of its values."""
    return all(has_value(key, wanted, signal, priority) for key, wanted in when.items())


def has_value(key: str, wanted: Collection[str], signal: Routable, priority: Priority) -> bool:
    """Whether the signal has one of the wanted values for a key of ROUTE_KEYS."""
    match key:
        case "priority":
            return priority.label in wanted
        case "tag":
            return any(tag in wanted for tag in signal.tags or ())
        case _:
            return getattr(signal, key) in wanted


def chain(destination: str, fallbacks: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every fallback of this destination, nearest first, without itself."""
    seen = {destination: None}
    todo = list(fallbacks.get(destination, ()))
    while todo:
        name = todo.pop(0)
        if name not in seen:
            seen[name] = None
            todo[:0] = fallbacks.get(name, ())
    return tuple(seen)[1:]
