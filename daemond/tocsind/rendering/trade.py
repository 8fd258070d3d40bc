"""What a trading signal says of its trade: read out of `action`, `price` and the signal's own fields, and worked out where that is certain.

    entry, stop, target     `entry`, `stop` or `stop_loss`, `target` or `take_profit`; without an entry the price is one, beside the others
    risk / reward           when the stop lies on the losing side of the entry and the target on the winning one
    exit, profit or loss    `exit`, else the price; `pnl`, else what entry and exit make of it, once it is known who was long

Names are read in any case and spelling (`Stop-Loss`), values as numbers or as text that is one. What is no number stays a field like any
other, and what does not fit together is shown and not reckoned with: a wrong figure costs more than a missing one. SELL with an exit or a
`pnl` closes a long trade, BUY with one a short trade; else they open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from math import inf, isfinite
from typing import Final, NamedTuple

from tocsin.signals import Signal

from .numbers import number

GREEN, RED, YELLOW, PURPLE, GREY = 0x2ECC71, 0xE74C3C, 0xF1C40F, 0x9B59B6, 0x95A5A6
_SIDES: Final = {"BUY": 1, "LONG": 1, "SELL": -1, "SHORT": -1}
_CLOSING: Final = frozenset({"CLOSE", "CLOSED", "EXIT"})
_KNOWN: Final = frozenset({*_SIDES, *_CLOSING, "HOLD", "OPEN", "ENTER", "STRONG"})
_LEVELS: Final = {
    "entry": "entry", "entry_price": "entry",
    "stop": "stop", "stop_loss": "stop", "sl": "stop",
    "target": "target", "take_profit": "target", "tp": "target",
    "exit": "exit", "exit_price": "exit",
    "pnl": "pnl", "p&l": "pnl", "p/l": "pnl",
}  # fmt: skip
_SIDE_NAMES: Final = frozenset({"side", "direction", "position"})
_LONGEST: Final = 40  # of a name or an action that is one of ours
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_ABSURD: Final = 1e6  # percent, and times: a larger figure is a mistake, and is not shown


class Step(Enum):
    """What a signal does to a trade; the value is its symbol, for readers who cannot tell the colours apart."""

    LONG = "▲"
    SHORT = "▼"
    HOLD = "■"
    CLOSE = "◆"


class Trade(NamedTuple):
    """One signal's trade. `side` is 1 for long, -1 for short, None when unknown; `read` are the fields that it was read from."""

    step: Step
    side: int | None
    price: float | None
    levels: Mapping[str, float]
    read: frozenset[str]

    @property
    def colour(self) -> int:
        """That of the outcome when it ended and that is known, else that of the step."""
        if self.step is Step.CLOSE and (gain := self.gain) is not None:
            return GREEN if gain > 0 else RED if gain < 0 else GREY
        return {Step.LONG: GREEN, Step.SHORT: RED, Step.HOLD: YELLOW}.get(self.step, PURPLE)

    @property
    def entry(self) -> float | None:
        """Where it was entered, or is to be."""
        opens = self.step is not Step.CLOSE and self.levels.keys() & {"stop", "target"}
        return self.levels.get("entry", self.price if opens else None)

    @property
    def exit(self) -> float | None:
        """Where it was left."""
        return self.levels.get("exit", self.price) if self.step is Step.CLOSE else None

    @property
    def gain(self) -> float | None:
        """What it made, as told, else by unit; None while that is open."""
        return self.levels.get("pnl", self._move)

    def facts(self) -> Iterator[tuple[str, str]]:
        """Its figures, in words, in the order of a trader's questions."""
        entry, exit_ = self.entry, self.exit
        if self.gain is not None:
            yield "Profit" if self.gain > 0 else "Loss" if self.gain < 0 else "Result", self._result(self.gain)
        if self.price is not None and self.price not in {entry, exit_}:
            yield "Price", number(self.price)
        if entry is not None:
            yield "Entry", number(entry)
        for name in ("stop", "target"):
            if name in self.levels:
                yield name.capitalize(), self._level(self.levels[name])
        if ratio := self._ratio:
            yield "Risk / reward", f"1 : {ratio}"
        if exit_ is not None:
            yield "Exit", number(exit_)

    def _level(self, level: float) -> str:
        away = "" if self.step is Step.CLOSE else _percent(self.entry, level)
        return f"{number(level)} ({away})" if away else number(level)

    @property
    def _ratio(self) -> str:
        """Reward for one of risk; empty unless stop and target lie where the side wants them."""
        entry, stop, target = self.entry, self.levels.get("stop"), self.levels.get("target")
        if self.step is Step.CLOSE or self.side is None or entry is None or stop is None or target is None:
            return ""
        risk, reward = self.side * (entry - stop), self.side * (target - entry)
        if not (0 < risk < inf and 0 < reward < _ABSURD * risk):
            return ""
        return _brief(reward / risk)

    @property
    def _move(self) -> float | None:
        """What a unit of it gained from entry to exit."""
        if self.exit is None or self.entry is None or self.side is None:
            return None
        move = self.side * (self.exit - self.entry)
        return move if isfinite(move) else None

    def _result(self, gain: float) -> str:
        unit = "" if "pnl" in self.levels else " a unit"
        move, entry, exit_ = self._move, self.entry, self.exit
        share = ""
        # Fees may turn a small gain into a loss: then the percentage of the prices alone would contradict it.
        if move is not None and self.side is not None and entry is not None and exit_ is not None and move * gain > 0:
            share = _percent(entry, entry + move)
        return f"{_signed(number(gain), gain)}{unit}{f' ({share})' if share else ''}"


def trade_of(signal: Signal) -> Trade | None:
    """The trade that a signal is about; None when its action is none of a trader's."""
    words = re.findall(r"[A-Z]+", (signal.action or "")[:_LONGEST].upper())
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if not words or not _KNOWN.issuperset(words) or len(sides) > 1:
        return None
    own = signal.fields or {}
    levels, read = _levels(own)
    side = next(iter(sides), None)
    if _CLOSING.intersection(words):
        return Trade(Step.CLOSE, side or _side(own), signal.price, levels, read)
    if "HOLD" in words:
        return Trade(Step.HOLD, side or _side(own), signal.price, levels, read)
    if side is None:
        return None
    if levels.keys() & {"exit", "pnl"}:
        return Trade(Step.CLOSE, -side, signal.price, levels, read)
    return Trade(Step.LONG if side > 0 else Step.SHORT, side, signal.price, levels, read)


def _levels(own: Mapping[str, object]) -> tuple[dict[str, float], frozenset[str]]:
    """The levels among a signal's own fields, and the names of those; of two for one level the first counts."""
    levels: dict[str, float] = {}
    read: set[str] = set()
    for name, value in own.items():
        level, figure = _LEVELS.get(_spelled(name)), _figure(value)
        if level is not None and figure is not None and level not in levels:
            levels[level] = figure
            read.add(name)
    return levels, frozenset(read)


def _side(own: Mapping[str, object]) -> int | None:
    """Which side a field says the trade was on."""
    for name, value in own.items():
        if _spelled(name) in _SIDE_NAMES and isinstance(value, str):
            return _SIDES.get(value[:_LONGEST].strip().upper())
    return None


def _spelled(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name[: _LONGEST + 1].strip().lower())


def _figure(value: object) -> float | None:
    """A number, or text that is one and nothing else; 64,000 may be either of two, and is none."""
    if isinstance(value, str):
        text = value[:_LONGEST].strip()
        value = float(text) if len(value) <= _LONGEST and _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return value


def _percent(start: float | None, end: float) -> str:
    """How far `end` is from `start`; empty where that means nothing."""
    if start is None or start <= 0:
        return ""
    share = (end - start) / start * 100
    return f"{_signed(_brief(share), share)} %" if abs(share) < _ABSURD else ""


def _brief(figure: float) -> str:
    """Three digits are what a glance takes in."""
    return number(float(f"{figure:.3g}"))


def _signed(text: str, figure: float) -> str:
    return f"+{text}" if figure > 0 else text
