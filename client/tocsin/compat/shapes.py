"""Any object as a signal. Strategies have their own classes for it; what they have in common are the names.

A value is looked for under each of its names, as an attribute or, in a mapping, as a key; the first that holds something of the right kind
is it. Enums and value objects (`Symbol(value="BTCUSDT")`) are looked into. What is not understood is not guessed at: a confidence of
87 is no confidence, and stands among the fields instead. Numbers and texts in `metadata`, in `indicators` and in the context that is
given along become fields; other things there become their text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tocsin.errors import InvalidSignal
from tocsin.signals import Signal

from .values import (
    action_of,
    confidence_of,
    described,
    expires_of,
    field_of,
    id_of,
    line_of,
    number_of,
    path_of,
    symbol_of,
    tags_of,
    text_of,
    tier_of,
    timestamp_of,
)
from .words import priority_of

MOST_FIELDS = 25  # a message shows no more
_HOLDERS = (str, list, tuple, set, frozenset)
_MAPPINGS = ("metadata", "indicators", "fields", "context")
_ALIASES = {
    "title": ("title",),
    "body": ("body", "message", "description", "reasoning", "reason"),
    "symbol": ("symbol", "ticker", "pair", "instrument", "asset"),
    "action": ("action", "signal_type", "side", "direction"),
    "price": ("price", "entry_price", "current_price", "entry"),
    "confidence": ("confidence",),
    "strategy": ("strategy", "strategy_name"),
    "tier": ("tier", "user_tier"),
    "priority": ("priority",),
    "timestamp": ("timestamp", "created_at", "generated_at", "time"),
    "key": ("key", "trade_id", "position_id"),
    "link": ("link",),
    "expires": ("expires",),
    "source": ("source",),
    "tags": ("tags",),
    "to": ("to",),
    "attach": ("attach",),
    "attach_note": ("attach_note",),
    "timestamp_text": ("timestamp_text",),
    "id": ("id",),
}
_LEVELS = {  # fields that are rendered for traders
    "entry": ("entry", "entry_price"),
    "stop": ("stop", "stop_loss"),
    "target": ("target", "take_profit", "target_price"),
    "exit": ("exit", "exit_price"),
    "pnl": ("pnl", "profit"),
}


def signal_of(given: Any, priority: Any = None, tier: Any = None, context: Any = None) -> Signal:
    """The signal in `given`, pressing as `priority` says, for `tier`, with `context` in its fields. Raises InvalidSignal."""
    if given is None:
        raise InvalidSignal("signal", "is None")
    values = given.as_dict() if isinstance(given, Signal) else _read(given)
    own = values.pop("fields", None) or {}
    said = {"priority": (priority, priority_of(priority)), "tier": (tier, tier_of(tier))}
    for name, (asked, word) in said.items():
        if word is not None:
            values[name] = word
        elif asked is not None:
            own[name] = asked  # not understood, and not lost either
    fields = dict(_fields([*own.items(), *_items(context)]))
    return Signal.from_dict({**values, "fields": fields} if fields else values)


def _read(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return _titled({"body": given}, given)
    look = _looker(given)
    values: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for name, aliases in _ALIASES.items():
        value, other = _first(look, aliases, _READERS[name])
        if value is not None:
            values[name] = value
        elif name in _TOLD and not _is_nothing(other):
            left[name] = other
    for name, aliases in _LEVELS.items():
        level, _ = _first(look, aliases, _as_it_is)
        if level is not None:
            left[name] = level
    for name in _MAPPINGS:
        found = look(name)
        if isinstance(found, Mapping):
            left.update(_items(found))
    return _titled({**values, "fields": left}, given)


def _looker(given: Any) -> Callable[[str], Any]:
    """What asks for one name: a key of a mapping, or an attribute. Methods are not meant; foreign ones may raise anything."""
    ask = given.get if isinstance(given, Mapping) else partial(getattr, given)

    def look(name: str) -> Any:
        try:
            value = ask(name, None)
            _ = value.__class__  # what does not even say what it is cannot be looked into
        except Exception:  # noqa: BLE001 - as above
            return None
        return None if value is None or callable(value) else value

    return look


def _first(look: Callable[[str], Any], names: Iterable[str], read: Callable[[Any], Any]) -> tuple[Any, Any]:
    """What the first name that can be read says, and, where none can, the first thing that was there."""
    other = None
    for name in names:
        found = look(name)
        if found is not None:
            value = read(found)
            if value is not None:
                return value, None
            other = found if other is None else other
    return None, other


def _is_nothing(value: Any) -> bool:
    return value is None or (type(value) in _HOLDERS and not value)


def _as_it_is(value: Any) -> Any:
    return value


def _titled(values: dict[str, Any], given: Any) -> dict[str, Any]:
    """With a title: its own, else what is to be done with what, else the first line of its text, else how the object calls itself."""
    if "title" not in values:
        done = " ".join(filter(None, (values.get("action"), values.get("symbol"))))
        first, _, rest = values.get("body", "").strip().partition("\n")
        if not done and first:
            values["body"] = rest.strip() or None
        values["title"] = line_of(done or first or described(given)) or type(given).__name__
    return values


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    """What a foreign mapping holds; what is none is one thing itself."""
    if mapping is None:
        return []
    if not isinstance(mapping, Mapping):
        return [("context", mapping)]
    try:
        return list(mapping.items())
    except Exception:  # noqa: BLE001 - as foreign as any
        return [("context", type(mapping).__name__)]


def _fields(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    told = dict(items)
    for name, value in list(told.items())[:MOST_FIELDS]:
        yield (line_of(name if isinstance(name, str) else described(name)) or "?", field_of(value))
    if len(told) > MOST_FIELDS:
        yield "…", f"and {len(told) - MOST_FIELDS} more"


_READERS: dict[str, Callable[[Any], Any]] = {
    "title": line_of,
    "body": text_of,
    "symbol": symbol_of,
    "action": action_of,
    "price": number_of,
    "confidence": confidence_of,
    "strategy": symbol_of,
    "tier": tier_of,
    "priority": priority_of,
    "timestamp": timestamp_of,
    "key": line_of,
    "link": text_of,
    "expires": expires_of,
    "source": line_of,
    "tags": tags_of,
    "to": tags_of,
    "attach": path_of,
    "attach_note": line_of,
    "timestamp_text": line_of,
    "id": id_of,
}
_TOLD = {
    "price",
    "confidence",
    "priority",
    "tier",
    "expires",
    "to",
    "tags",
    "attach",
}  # where what is not understood must still be seen
