"""The signal of a strategy.

Nothing is checked when a TradingSignal is made: a strategy makes them in a loop that one invalid value must not end. Existing code has
other names for some fields (`stop_loss`, `signal_type`, ...), which are accepted. The values are converted when it becomes a tocsin.Signal,
as those of every signal: what cannot be converted is shown as text, because an array in `metadata` is no reason to lose an alert.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tocsin.errors import InvalidSignal
from tocsin.ids import id_of, is_id
from tocsin.masking import masked_field
from tocsin.normalize import is_readable
from tocsin.signals import Signal
from tocsin.timestamps import to_seconds
from tocsin.values import describe, is_mapping, is_missing

from .mappings import pairs_of
from .ranking import Rank, rank

LEVELS = ("entry", "stop", "target", "exit", "pnl")  # fields that the daemon renders for traders
_CARRIED = (
    "title", "body", "symbol", "action", "priority", "tier", "source", "confidence", "timestamp", "timestamp_text", "price",
    "strategy", "key", "expires", "tags", "to", "link", "attach", "attach_note", "id",
)  # fmt: skip
SYNONYMS = {
    "signal_type": "action",
    "side": "action",
    "direction": "action",
    "ticker": "symbol",
    "strategy_name": "strategy",
    "entry_price": "entry",
    "stop_loss": "stop",
    "take_profit": "target",
    "target_price": "target",
    "exit_price": "exit",
    "profit": "pnl",
    "user_tier": "tier",
}


@dataclass(init=False, eq=False, repr=False)
class TradingSignal:
    """A signal of a strategy about one symbol.

    `action` is BUY, SELL, HOLD, CLOSE, any other word, or an enum's member; `confidence` is between 0 and 1; `timestamp` is anything that
    tocsin.timestamps reads. `entry`, `stop`, `target`, `exit` are prices, `pnl` is a profit or loss in any unit. Signals with the same
    `key` belong to one trade. The other fields of a tocsin.Signal (`priority`, `to`, `tags`, `link`, `attach`, ...) have the same meaning;
    an `id` that is not a ULID is a field. `metadata`, `fields` and unknown keywords become fields.

    Signals are ordered by confidence and time, the highest and latest first. Each is equal only to itself.
    """

    symbol: Any
    action: Any
    price: Any
    confidence: Any
    timestamp: Any
    strategy: Any
    entry: Any
    stop: Any
    target: Any
    exit: Any
    pnl: Any
    key: Any
    tier: Any
    priority: Any
    title: Any
    body: Any
    expires: Any
    tags: Any
    to: Any
    source: Any
    link: Any
    attach: Any
    attach_note: Any
    timestamp_text: Any
    id: Any
    metadata: Any

    def __init__(  # noqa: PLR0917 - in the order in which code everywhere writes them
        self,
        symbol: Any = None,
        action: Any = None,
        price: Any = None,
        confidence: Any = None,
        timestamp: Any = None,
        strategy: Any = None,
        metadata: Any = None,
        **others: Any,
    ) -> None:
        self.symbol, self.action, self.price = symbol, action, price
        self.confidence, self.timestamp, self.strategy = confidence, timestamp, strategy
        for name in _BY_NAME:
            setattr(self, name, others.pop(name, None))
        self.id = others.pop("id") if _is_ours(others.get("id")) else None
        for name in [name for name in others if name in SYNONYMS]:
            value = others.pop(name)
            if getattr(self, SYNONYMS[name]) is None:
                setattr(self, SYNONYMS[name], value)
        self.metadata = _together(metadata, others)

    @classmethod
    def of(cls, item: Any) -> TradingSignal:
        """The signal in `item`: one already, a mapping, or any object with a signal's attributes.

        Raises InvalidSignal, or whatever a foreign object raises.
        """
        if isinstance(item, cls):
            return item
        given = {str(name): value for name, value in item.items()} if is_mapping(item) else _attributes(item)
        if not any(given.get(name) is not None for name in _TELLING):
            raise InvalidSignal("symbol", f"is required; this {type(item).__name__} has none")
        return cls(**given)

    @property
    def rank(self) -> Rank:
        """The sort key. Never raises."""
        try:
            confidence = Signal("rank", confidence=self.confidence, id=_NO_ID).confidence
        except Exception:  # noqa: BLE001 - a foreign __float__ may raise anything
            confidence = None
        return rank(confidence, to_seconds(self.timestamp))

    def to_signal(self, **others: Any) -> Signal:
        """The tocsin.Signal with these values; `others` are defaults for fields that have none.

        Values are converted as by `tocsin.send`. Raises InvalidSignal when the signal is empty.
        """
        given = {name: value for name in _CARRIED if not is_missing(value := getattr(self, name))}
        fields = self._fields()
        for name in [name for name in given if name in others and not is_readable(name, given[name])]:
            fields[name] = describe(given.pop(name))
        if "title" not in given:
            given["title"] = _title(self.action, self.symbol) or _title(given.get("body"))
        if fields:
            given["fields"] = fields
        if not (given["title"] or fields):
            raise InvalidSignal("symbol", "is required: this signal is empty")
        return Signal.from_dict({**others, **given})

    def _fields(self) -> dict[str, Any]:
        levels = {name: getattr(self, name) for name in LEVELS}
        found = pairs_of(self.metadata)
        given = [("metadata", self.metadata)] if found is None else found
        pairs = [(name, value) for name, value in (*levels.items(), *given) if not is_missing(value)]
        return {describe(name): masked_field(value) for name, value in pairs}

    def __repr__(self) -> str:
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return f"TradingSignal({', '.join(f'{name}={value!r}' for name, value in said.items() if value is not None)})"

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, TradingSignal) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, TradingSignal) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, TradingSignal) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, TradingSignal) else NotImplemented


_BY_NAME = (
    *LEVELS, "key", "tier", "priority", "title", "body", "expires",
    "tags", "to", "source", "link", "attach", "attach_note", "timestamp_text",
)  # fmt: skip
_NAMES = (*(field.name for field in fields(TradingSignal)), *SYNONYMS, "fields")
_TELLING = ("symbol", "title", "ticker", "body", "action", "signal_type", "side", "direction")
_NO_ID = id_of(0, bytes(10))  # for `rank`, which needs no id: saves making one


def _title(*words: Any) -> str:
    return " ".join(describe(word) for word in words if not is_missing(word)).strip()


def _together(metadata: Any, others: dict[str, Any]) -> Any:
    own = pairs_of(others.get("fields"))
    if own is not None:
        others = {**dict(own), **{name: value for name, value in others.items() if name != "fields"}}
    found = pairs_of(metadata)
    if found is not None:
        return {**dict(found), **others} if others else metadata
    return others if metadata is None else {"metadata": metadata, **others}


def _is_ours(value: Any) -> bool:
    """Whether an `id` is a ULID; rows of tables have other ids."""
    return issubclass(type(value), str) and is_id(value.upper())


def _attributes(item: Any) -> dict[str, Any]:
    """The known attributes of a foreign object, without methods: every str has a method `title`."""
    found = {name: getattr(item, name, None) for name in _NAMES}
    if not _is_ours(found["id"]):  # the id of a table's row is not shown
        del found["id"]
    return {name: value for name, value in found.items() if value is not None and not callable(value)}
