"""Any object as a signal. Strategies have their own classes for it; what they have in common are the names.

A value is looked for under each of its names, as an attribute or, in a mapping, as a key; the first that can be read as this field is it.
`tocsin.values` reads it, here as everywhere; what cannot be read stands among the fields. So do the contents of `metadata` and of
`indicators`, the context that is given along, and what a mapping has under other names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tocsin.errors import InvalidSignal
from tocsin.normalize import is_readable
from tocsin.signals import Signal
from tocsin.values import attribute, describe, is_missing, masked, masked_field, text

_LONGEST_LINE = 512  # characters that are looked at for one line: a signal's own limits come after
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
    fields = dict(values.pop("fields", None) or {})
    for name, asked in (("priority", priority), ("tier", tier)):
        if asked is None:
            continue
        if is_readable(name, asked):
            values[name] = _READERS[name](asked)
        elif not is_missing(asked):
            fields[name] = masked_field(asked)  # the signal's own word stays, and this one is not lost either
    fields |= {_line(describe(name)) or "?": masked_field(value) for name, value in _items(context)}
    if fields:
        values["fields"] = fields
    try:
        return Signal.from_dict(values)
    except InvalidSignal:  # what it has says nothing, such as an empty mapping for a title: then it is named by itself
        return Signal.from_dict({**values, "title": _line(describe(given)) or type(given).__name__})


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
        elif name != "id" and not _is_nothing(other):  # the number of a row in a table is nothing to tell
            values[name] = other
    for name, aliases in _LEVELS.items():
        level, _ = _first(look, aliases, _as_it_is)
        if level is not None:
            left[name] = level
    for name in _MAPPINGS:
        found = look(name)
        if issubclass(type(found), Mapping):
            left.update(_items(found))
        elif not _is_nothing(found):
            left[name] = found
    left.update(_others(given))
    fields = {_line(describe(name)) or "?": masked_field(value) for name, value in left.items()}
    return _titled({**values, "fields": fields}, given)


def _others(given: Any) -> Iterator[tuple[Any, Any]]:
    """What a mapping has under names that mean nothing here."""
    if issubclass(type(given), Mapping):
        yield from ((name, value) for name, value in _items(given) if name not in _NAMES)


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
    return is_missing(value) or (type(value) in _HOLDERS and not value)


def _as_it_is(value: Any) -> Any:
    return value


def _titled(values: dict[str, Any], given: Any) -> dict[str, Any]:
    """With a title: its own, else what is to be done with what, else the first line of its text, else how the object calls itself."""
    if "title" not in values:
        done = " ".join(_line(values[name]) or "" for name in ("action", "symbol") if name in values).strip()
        first, _, rest = (_text(values.get("body")) or "").strip().partition("\n")
        if not done and first:
            values["body"] = rest.strip() or None
        values["title"] = done or _line(first) or _line(describe(given)) or type(given).__name__
    return values


def _items(mapping: Any) -> list[tuple[Any, Any]]:
    """What a foreign mapping holds; what is none is one thing itself."""
    if mapping is None:
        return []
    if not issubclass(type(mapping), Mapping):
        return [("context", mapping)]
    try:
        return list(mapping.items())
    except Exception:  # noqa: BLE001 - as foreign as any
        return [("context", type(mapping).__name__)]


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
    """Its text, or that of the thing it is the symbol of."""
    found = (_line(attribute(value, name)) for name in ("value", "symbol", "ticker", "name") if type(value) is not str)
    return next(filter(None, found), None) or _line(value)


def _tier(value: Any) -> str | None:
    """As routes have it: in small letters."""
    return line.lower() if (line := _line(value)) else None


def _action(value: Any) -> str | None:
    """BUY, SELL, HOLD or any word, in capitals."""
    return line.upper() if (line := _line(value)) else None


def _if_readable(name: str) -> Callable[[Any], Any]:
    """What takes a value as it is, for the signal to read, where it can."""
    return lambda value: value if is_readable(name, value) else None


def _several(value: Any) -> Any:
    """Texts of a list, masked, or one text."""
    if type(value) in {list, tuple, set, frozenset}:
        return [line for line in map(_line, value) if line] or None
    return _line(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    **{
        name: _if_readable(name) for name in ("price", "confidence", "priority", "timestamp", "expires", "attach", "id")
    },
    **dict.fromkeys(("title", "key", "source", "attach_note", "timestamp_text"), _line),
    **dict.fromkeys(("symbol", "strategy"), _name),
    **dict.fromkeys(("body", "link"), _text),
    **dict.fromkeys(("tags", "to"), _several),
    "action": _action,
    "tier": _tier,
}
_NAMES = {name for names in (*_ALIASES.values(), *_LEVELS.values(), _MAPPINGS) for name in names}
