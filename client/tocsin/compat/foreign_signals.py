"""Converts any object to a signal. Strategies have classes of their own for it, which share the names of their attributes.

Each field is looked up under several names, as an attribute or, in a mapping, as a key; the first value that can be converted is used
(`tocsin.values`). Values that cannot be converted are added to the fields. So are the items of `metadata` and `indicators`, the given
context, and the items of a mapping with unknown names. A mapping that is a Discord message, as code posts it to a webhook, is the signal's
payload, which Discord gets as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from tocsin import payloads
from tocsin.errors import InvalidSignal
from tocsin.masking import masked, masked_field
from tocsin.normalize import is_readable
from tocsin.signals import Signal
from tocsin.values import attribute, describe, first_of, is_mapping, is_missing, text

_MOST_ITEMS = 10_000  # of a mapping, which may be endless
_LONGEST_LINE = 512  # characters; the limits of a signal apply later
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
    "payload": ("payload",),
}
_LEVELS = {  # fields that are rendered for traders
    "entry": ("entry", "entry_price"),
    "stop": ("stop", "stop_loss"),
    "target": ("target", "take_profit", "target_price"),
    "exit": ("exit", "exit_price"),
    "pnl": ("pnl", "profit"),
}


def signal_of(given: Any, priority: Any = None, tier: Any = None, context: Any = None, others: Any = None) -> Signal:
    """The signal in `given`, with this priority and tier, and with `context` and `others` in its fields. Raises InvalidSignal."""
    if given is None:
        raise InvalidSignal("signal", "is None")
    values = _given(given)
    fields = dict(values.pop("fields", None) or {})
    for name, asked in (("priority", priority), ("tier", tier)):
        if asked is None:
            continue
        if is_readable(name, asked):
            values[name] = _READERS[name](asked)
        elif not is_missing(asked):
            fields[name] = masked_field(asked)  # the signal keeps its own value, and this one is shown as well
    fields |= {_line(describe(name)) or "?": masked_field(value) for name, value in (*_items(context), *_items(others))}
    if fields:
        values["fields"] = fields
    try:
        return Signal.from_dict(values)
    except InvalidSignal:  # the values are empty, such as an empty mapping for a title: the title is the object's text
        return Signal.from_dict({**values, "title": _line(describe(given)) or type(given).__name__})


def _given(given: Any) -> dict[str, Any]:
    """The fields in `given`; a Discord message goes as it is."""
    if isinstance(given, Signal):
        return given.as_dict()
    return {"payload": given} if payloads.is_message(given) else _read(given)


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
        elif name != "id" and not _is_nothing(other):  # the id of a table's row is not shown
            values[name] = other
    for name, aliases in _LEVELS.items():
        level, _ = _first(look, aliases, _as_it_is)
        if level is not None:
            left[name] = level
    for name in _MAPPINGS:
        found = look(name)
        if is_mapping(found):
            left.update(_items(found))
        elif not _is_nothing(found):
            left[name] = found
    left.update(_others(given))
    fields = {_line(describe(name)) or "?": masked_field(value) for name, value in left.items()}
    return _titled({**values, "fields": fields}, given)


def _others(given: Any) -> Iterator[tuple[Any, Any]]:
    """The items of a mapping with unknown names."""
    if is_mapping(given):
        yield from ((name, value) for name, value in _items(given) if name not in _NAMES)


def _looker(given: Any) -> Callable[[str], Any]:
    """A function that returns a key of a mapping, or an attribute; None for methods, and where foreign code raises."""
    ask = given.get if is_mapping(given) and hasattr(type(given), "get") else partial(getattr, given)

    def look(name: str) -> Any:
        try:
            value = ask(name, None)
            _ = value.__class__  # raises for objects that cannot be examined
        except Exception:  # noqa: BLE001 - as above
            return None
        return None if value is None or callable(value) else value

    return look


def _first(look: Callable[[str], Any], names: Iterable[str], read: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The first value that can be read, and None; where none can, None and the first value found."""
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
    return is_missing(value) or (type(value) in _HOLDERS and not value)


def _as_it_is(value: Any) -> Any:
    return value


def _titled(values: dict[str, Any], given: Any) -> dict[str, Any]:
    """Add a title where there is none: action and symbol, else the first line of the body, else the object's text."""
    if "title" not in values:
        done = " ".join(_line(values[name]) or "" for name in ("action", "symbol") if name in values).strip()
        first, _, rest = (_text(values.get("body")) or "").strip().partition("\n")
        if not done and first:
            values["body"] = rest.strip() or None
        values["title"] = done or _line(first) or _line(describe(given)) or type(given).__name__
    return values


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    """The items of a foreign mapping; any other value as one item, `context`."""
    if mapping is None:
        return []
    if not is_mapping(mapping):
        return [("context", mapping)]
    try:
        pairs, failure = first_of(mapping.items(), _MOST_ITEMS)
        found = [(name, value) for name, value in pairs]
    except Exception:  # noqa: BLE001 - a foreign mapping may raise anything
        return [("context", type(mapping).__name__)]
    return [*found, ("not read to its end", failure)] if failure else found


def _text(value: Any) -> str | None:
    """A text of several lines, masked; None where there is none."""
    try:
        return None if is_missing(value) else masked(text(value)) or None
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return None


def _line(value: Any) -> str | None:
    """A text of one line, masked."""
    found = _text(value)
    return " ".join(found[:_LONGEST_LINE].split()) or None if found else None


def _name(value: Any) -> str | None:
    """The name of an object: its value, symbol, ticker or name, else its text."""
    found = (_line(attribute(value, name)) for name in ("value", "symbol", "ticker", "name") if type(value) is not str)
    return next(filter(None, found), None) or _line(value)


def _tier(value: Any) -> str | None:
    """In lower case, as routes have it."""
    return line.lower() if (line := _line(value)) else None


def _action(value: Any) -> str | None:
    """In upper case, as BUY, SELL, HOLD."""
    return line.upper() if (line := _line(value)) else None


def _if_readable(name: str) -> Callable[[Any], Any]:
    """A function that returns a value unchanged if the signal can convert it, else None."""
    return lambda value: value if is_readable(name, value) else None


def _several(value: Any) -> Any:
    """Texts of a list, masked, or one text."""
    if type(value) in {list, tuple, set, frozenset}:
        return [line for line in map(_line, value) if line] or None
    return _line(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    **{
        name: _if_readable(name)
        for name in ("price", "confidence", "priority", "timestamp", "expires", "attach", "id", "payload")
    },
    **dict.fromkeys(("title", "key", "source", "attach_note", "timestamp_text"), _line),
    **dict.fromkeys(("symbol", "strategy"), _name),
    **dict.fromkeys(("body", "link"), _text),
    **dict.fromkeys(("tags", "to"), _several),
    "action": _action,
    "tier": _tier,
}
_NAMES = {name for names in (*_ALIASES.values(), *_LEVELS.values(), _MAPPINGS) for name in names}
