"""Runs several strategies one after another over the same days, and aggregates their signals.

A strategy that raises an exception does not stop the others: its signals until then count, the reason is in `report.failed`, and it is
logged when the strategy begins to fail, not each time. Strategies run in the caller's thread: threads would not speed up arithmetic, and
the data would need locks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from inspect import iscoroutine
from typing import Any, Protocol, Self

from tocsin.client import Client
from tocsin.replies import describe
from tocsin.values import describe as name_of

from .aggregator import SignalAggregator
from .mappings import pairs_of
from .report import Failed, Report

_WANTED = 'the strategies must be {name: strategy} or a list of {"name": name, "strategy": strategy}'
_log = logging.getLogger("tocsin.trading")


class Strategy(Protocol):
    """A strategy: returns the signals of the last `days` days."""

    def generate_signals(self, days: int) -> Iterable[Any]:
        """The signals, in any order; may be a generator function."""


class MultiStrategyGenerator:
    """Runs strategies over `days` of data and aggregates what they raise.

    `strategy_configs` is {name: strategy}, or {name: {"strategy": strategy, "weight": 0.6, "enabled": True, "params": {...}}}, or a list
    of such configurations with a "name" each. A strategy is an object with `generate_signals(days)`, a class of such objects, made once
    with `params`, or a function of `days`.
    `aggregator_config` and `client` are SignalAggregator's. Raises TypeError when `strategy_configs` is none of these.
    """

    def __init__(
        self,
        strategy_configs: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        aggregator_config: Mapping[str, Any] | None = None,
        *,
        client: Client | None = None,
    ) -> None:
        self.strategy_configs, self.aggregator_config = strategy_configs, aggregator_config
        self._configs = {name_of(name): _config(given) for name, given in _named(strategy_configs)}
        weights = {name: config["weight"] for name, config in self._configs.items() if "weight" in config}
        self.aggregator = SignalAggregator(weights, aggregator_config, client=client)
        self._failing: set[str] = set()

    @property
    def report(self) -> Report:
        """The report of the last run. Empty after one of a foreign aggregator."""
        found = getattr(self.aggregator, "report", None)
        return found if isinstance(found, Report) else Report()

    def generate_aggregated_signals(self, days: int = 30) -> list[Any]:
        """Run all strategies over `days`, queue alerts, and return the aggregated signals. Never raises."""
        raised: dict[str, list[Any]] = {}
        failed = []
        for name, config in self._configs.items():
            raised[name], reason = _run(config, days)
            self._note(name, reason)
            if reason:
                failed.append(Failed(name, reason))
        found: list[Any] = self.aggregator.aggregate_signals(raised)  # an override may take nothing else
        self.aggregator.report = replace(self.report, failed=tuple(failed))
        return found

    def cleanup(self) -> None:
        """Wait for the hand-off, at most two seconds, and close the connection. May be called repeatedly."""
        self.aggregator.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def _note(self, name: str, reason: str | None) -> None:
        if reason is None:
            self._failing.discard(name)
        elif name not in self._failing:
            self._failing.add(name)
            _log.warning("the strategy %s fails: %s", name, reason)


def _named(configs: Any) -> list[tuple[Any, Any]]:
    found = pairs_of(configs)
    if found is not None:
        return found
    if issubclass(type(configs), (str, bytes)) or not issubclass(type(configs), Iterable):
        raise TypeError(f"{_WANTED}, not {type(configs).__name__}")
    return [(_name(config, f"item {index}"), config) for index, config in enumerate(configs)]


def _name(config: Any, place: str) -> Any:
    found = pairs_of(config)
    if found is None:
        raise TypeError(f"{_WANTED}; {place} of the list is {type(config).__name__}, no mapping")
    if "name" not in dict(found):
        raise TypeError(f'{_WANTED}; {place} of the list has no "name"')
    return dict(found)["name"]


def _config(given: Any) -> dict[str, Any]:
    found = pairs_of(given)
    return {"strategy": given} if found is None else dict(found)


def _run(config: dict[str, Any], days: int) -> tuple[list[Any], str | None]:
    """The signals of one strategy, and the reason where it failed."""
    raised: list[Any] = []
    try:
        if not config.get("enabled", True):
            return raised, None
        found = _asked(config, days)
        if iscoroutine(found):
            found.close()
            return raised, "is a coroutine function; await it, and pass its signals to a SignalAggregator"
        raised.extend(() if found is None else found)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        return raised, describe(error)
    return raised, None


def _asked(config: dict[str, Any], days: int) -> Any:
    strategy: Any = config.get("strategy")
    if isinstance(strategy, type):
        strategy = config["strategy"] = strategy(**config.get("params", {}))
    if hasattr(strategy, "generate_signals"):
        return strategy.generate_signals(days)
    if callable(strategy):
        return strategy(days)
    raise TypeError(
        f"a strategy must have generate_signals(days) or be a function of days; this is {type(strategy).__name__}"
    )
