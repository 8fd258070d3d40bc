"""Reads the signals of strategies: each item becomes a signal, or a rejection with its place and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, NamedTuple

from tocsin.errors import InvalidSignal
from tocsin.replies import describe
from tocsin.signals import Signal
from tocsin.values import describe as name_of

from .tradingsignal import TradingSignal


@dataclass(frozen=True, slots=True)
class Rejected:
    """An input that is not a signal: its place (`ma[3]`: the fourth of strategy ma), the field, and the reason."""

    place: str
    field: str
    reason: str
    item: Any = attribute(default=None, repr=False, compare=False)  # the input itself

    def __str__(self) -> str:
        return f"{self.place}: {self.field}: {self.reason}"


class Read(NamedTuple):
    """A valid input: the object itself, and the signal made from it."""

    item: Any
    strategy: str
    signal: Signal


def read_all(strategy_signals: Any, every: Mapping[str, Any]) -> Iterator[Read | Rejected]:
    """Yields all of {strategy: signals}, in order. `every` has the defaults of a signal's fields. Never raises."""
    try:
        if not isinstance(strategy_signals, Mapping):
            reason = f"must map strategies to their signals; this is a {type(strategy_signals).__name__}"
            yield Rejected("signals", "signals", reason, strategy_signals)
            return
        for key, items in strategy_signals.items():
            name = name_of(key)
            for index, item in enumerate(_unbroken(items)):
                yield _read(item, name, f"{name}[{index}]", every)
    except Exception as error:  # noqa: BLE001 - a foreign mapping may raise anything
        yield Rejected("signals", "signals", f"cannot be read on: {describe(error)}", strategy_signals)


class _Broken(NamedTuple):
    """Stands for the exception that a strategy's iterator raised."""

    reason: str


def _unbroken(items: Any) -> Iterator[Any]:
    try:
        if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
            yield _Broken(f"must be a list of signals, not {type(items).__name__}")
            return
        yield from items
    except Exception as error:  # noqa: BLE001 - as above
        yield _Broken(f"cannot be read on: {describe(error)}")


def _read(item: Any, strategy: str, place: str, every: Mapping[str, Any]) -> Read | Rejected:
    """Read one item. Even isinstance may raise for it, which must not affect the others."""
    try:
        if isinstance(item, _Broken):
            return Rejected(place, "signals", item.reason)
        return Read(item, strategy, _signal(item, strategy, every))
    except InvalidSignal as error:
        return Rejected(place, error.field, error.reason, item)
    except Exception as error:  # noqa: BLE001 - as above
        return Rejected(place, "signal", f"cannot be read: {describe(error)}", item)


def _signal(item: Any, strategy: str, every: Mapping[str, Any]) -> Signal:
    if isinstance(item, Signal):
        return Signal.trusted({**every, **item.as_dict()}) if every else item  # both were checked before
    return TradingSignal.of(item).to_signal(**{**every, "strategy": strategy})
