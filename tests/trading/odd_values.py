"""Whatever a program may put where a value belongs."""

from __future__ import annotations

from typing import Any, NoReturn

from hypothesis import strategies as st

from tocsin.trading import TradingSignal


class Hostile:
    """Raises at whatever is asked of it, but for its repr, which hypothesis asks for."""

    def _raise(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("no")

    __float__ = __str__ = __bool__ = __iter__ = __len__ = __ne__ = __lt__ = __contains__ = _raise
    __eq__ = _raise
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class Nameless:
    """Does not even say what it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise ZeroDivisionError("class")

    def __bool__(self) -> bool:
        raise ZeroDivisionError("bool")


class Slippery(float):
    """Another number each time it is asked."""

    asked = 0

    def __float__(self) -> float:
        Slippery.asked += 1
        return float(Slippery.asked % 3)


steady: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.dates(),
    st.decimals(),
    st.complex_numbers(),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.floats(), max_size=3),
    st.builds(Hostile),
    st.just(Slippery),
    st.functions(),
)
anything = steady | st.builds(Slippery, st.floats(0, 1))


def signals_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[TradingSignal]:
    """Trading signals whose parts are right, or any of `values`."""
    return st.builds(
        TradingSignal,
        symbol=st.sampled_from(["BTC", "ETH"]) | values,
        action=st.sampled_from(["BUY", "SELL", "HOLD", "CLOSE"]) | values,
        price=st.none() | st.floats(1, 1e6) | values,
        confidence=st.floats(0, 1) | values,
        timestamp=st.floats(1.7e9, 1.7e9 + 7200) | values,
        stop=values,
        target=values,
        tier=st.none() | values,
        key=st.none() | values,
        metadata=values,
    )
