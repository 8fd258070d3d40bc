"""What a program raises, and what it gets back.

A Signal is a dict of fields, checked once at birth and frozen after. The same check runs in the client, so that a mistake is told
where it was made, and in the daemon, because the wire is open to any language. Length is never a reason to refuse: text is cut where
it is rendered. Unknown fields are refused by name, since a mistyped `prioritty` would otherwise be an alert lost without a word.
"""

from __future__ import annotations

from math import isfinite

from .durations import parse_duration
from .errors import InvalidSignal
from .ids import is_id, new_id
from .timestamps import to_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Self, TypedDict

    class SignalFields(TypedDict, total=False):
        """The optional fields of a signal, as keyword arguments of `send` and `Signal`."""

        body: str | None
        priority: str | None
        confidence: float | None
        tier: str | None
        strategy: str | None
        symbol: str | None
        action: str | None
        price: float | None
        fields: Mapping[str, Any] | None
        tags: Iterable[str] | None
        key: str | None
        expires: float | str | None
        timestamp: Any
        timestamp_text: str | None
        link: str | None
        attach: str | os.PathLike[str] | None
        attach_note: str | None
        to: str | Iterable[str] | None
        source: str | None
        id: str | None


PRIORITIES = ("urgent", "high", "normal", "low")  # most pressing first: their index is their rank
RECEIPT_STATES = ("stored", "spooled", "duplicate", "refused", "dropped")
_ACCEPTED = ("stored", "spooled", "duplicate")

_LARGEST_WHOLE = 2**63 - 1  # MessagePack and SQLite integers end here; larger ones travel as text


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidSignal(name, f"must be text, not {type(value).__name__}")
    text = str.__str__(value)  # exactly str: encoders do not know numpy.str_ and other subclasses
    if text.isascii():
        return text
    # Lone surrogates (a file name read with surrogateescape) have no UTF-8; the alert matters more than the byte.
    return text.encode("utf-8", "replace").decode("utf-8")


def _title(name: str, value: Any) -> str:
    title = _text(name, value).strip()
    if not title:
        raise InvalidSignal(name, "must not be empty")
    return title


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise InvalidSignal(name, f"must be a number, not {type(value).__name__}")
    try:
        number = float(value)
    except Exception as error:  # a foreign __float__ may raise anything
        raise InvalidSignal(name, "cannot be read as a number") from error
    if not isfinite(number):
        raise InvalidSignal(name, f"must be finite, not {number}")
    return number


def _confidence(name: str, value: Any) -> float:
    number = _number(name, value)
    if not 0 <= number <= 1:
        raise InvalidSignal(name, f"must lie between 0 and 1, not {number}")
    return number


def _priority(name: str, value: Any) -> str:
    priority = _text(name, value).lower()
    if priority not in PRIORITIES:
        raise InvalidSignal(name, f"must be one of {', '.join(PRIORITIES)}, not {value!r}")
    return priority


def _expires(name: str, value: Any) -> float:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise InvalidSignal(name, str(error)) from None
    seconds = _number(name, value)
    if seconds < 0:
        raise InvalidSignal(name, "must not be negative")
    return seconds


def _fields(name: str, value: Any) -> dict[str, Any]:
    if not hasattr(value, "items"):
        raise InvalidSignal(name, f"must map names to values, not {type(value).__name__}")
    return {_text(f"{name} key", key): _field_value(f"{name}.{key}", item) for key, item in value.items()}


def _field_value(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(name, value)
    if isinstance(value, int):
        return int(value) if abs(value) <= _LARGEST_WHOLE else hex(value)
    if isinstance(value, (list, tuple, dict, set, bytes)):
        raise InvalidSignal(name, f"must be text, a number or true/false, not {type(value).__name__}")
    return _number(name, value) if hasattr(value, "__float__") else _text(name, str(value))


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InvalidSignal(name, f"must be a list of texts, not {type(value).__name__}")
    return [_text(name, item) for item in value]


def _one_or_more(name: str, value: Any) -> list[str]:
    return [_text(name, value)] if isinstance(value, str) else _texts(name, value)


def _path(name: str, value: Any) -> str:
    """A path as it is: it names something only with the very bytes that it has."""
    path = value.__fspath__() if hasattr(value, "__fspath__") else value
    if not isinstance(path, str):
        raise InvalidSignal(name, f"must be a path, not {type(value).__name__}")
    return str.__str__(path)


def _id(name: str, value: Any) -> str:
    text = _text(name, value).upper()
    if not is_id(text):
        raise InvalidSignal(name, "must be a ULID: 26 characters of Crockford base 32")
    return text


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "title": _title,
    "body": _text,
    "priority": _priority,
    "confidence": _confidence,
    "tier": _text,
    "strategy": _text,
    "symbol": _text,
    "action": _text,
    "price": _number,
    "fields": _fields,
    "tags": _texts,
    "key": _text,
    "expires": _expires,
    "timestamp": lambda _, value: to_seconds(value),
    "timestamp_text": _text,
    "link": _text,
    "attach": _path,
    "attach_note": _text,
    "to": _one_or_more,
    "source": _text,
    "id": _id,
}
FIELD_NAMES = tuple(_CHECKS)


class Signal:
    """One alert, checked and frozen. Absent fields read as None; `id` is made when none is given.

    Raises InvalidSignal, which names the field. Times are Unix seconds in UTC, `expires` is in seconds, `price` and `confidence` floats.
    """

    __slots__ = ("_values",)

    title: str
    body: str | None
    priority: str | None
    confidence: float | None
    tier: str | None
    strategy: str | None
    symbol: str | None
    action: str | None
    price: float | None
    fields: dict[str, str | float | bool | None] | None
    tags: list[str] | None
    key: str | None
    expires: float | None
    timestamp: float | None
    timestamp_text: str | None  # what `timestamp` said, when that could not be read as a time
    link: str | None
    attach: str | None  # a file's path; on the wire its name below the spool, in the journal the name that readers see
    attach_note: str | None  # why the file does not come along
    to: list[str] | None
    source: str | None
    id: str

    def __init__(self, title: str, **fields: Any) -> None:
        object.__setattr__(self, "_values", _checked({"title": title, **fields}))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The signal in `values`, as it comes off the wire. Raises InvalidSignal."""
        signal = cls.__new__(cls)
        object.__setattr__(signal, "_values", _checked(values))
        return signal

    @classmethod
    def trusted(cls, values: dict[str, Any]) -> Self:
        """The signal in `values` that were checked before and have been in safe keeping since: the journal's."""
        signal = cls.__new__(cls)
        object.__setattr__(signal, "_values", values)
        return signal

    @property
    def brings_file(self) -> bool:
        """Whether there is an `attach`: asked of every signal, and this is quicker."""
        return "attach" in self._values

    def as_dict(self) -> dict[str, Any]:
        """Only the fields that are set, in plain types that JSON and MessagePack carry."""
        return dict(self._values)

    def __getattr__(self, name: str) -> Any:
        if name in _CHECKS:
            return self._values.get(name)
        raise AttributeError(f"a Signal has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Signal is frozen; raise another")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signal) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Signal.from_dict, (self._values,))

    def __repr__(self) -> str:
        return f"Signal({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        check = _CHECKS.get(name)
        if check is None:
            raise InvalidSignal(str(name), f"is no field of a signal; it has {', '.join(_CHECKS)}")
        if value is not None:
            values[name] = check(name, value)
    if "title" not in values:
        raise InvalidSignal("title", "is required")
    if "timestamp" in values and values["timestamp"] is None:
        del values["timestamp"]
        values["timestamp_text"] = _describe(given["timestamp"])
    if "id" not in values:
        values["id"] = new_id()
    return values


def _describe(value: Any) -> str:
    try:
        return _text("timestamp", str(value))[:200]
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return type(value).__name__


class Receipt:
    """What became of a hand-off: `state` is one of RECEIPT_STATES, `reason` says why when it is not `stored`.

    `stored` is synced to the daemon's disk, `duplicate` was so before; `spooled` is synced to the local spool; `refused` will never be
    taken as it is; `dropped` reached nobody. Who asked with ack=received or none gets `stored` for what was handed over all the same:
    then `durable` is False, and `reason` says what was not waited for.
    """

    __slots__ = ("durable", "id", "reason", "state")

    def __init__(self, id: str, state: str, reason: str | None = None, *, durable: bool | None = None) -> None:  # noqa: A002 - the contract's name
        self.id = id
        self.state = state
        self.reason = reason
        self.durable = (
            state in _ACCEPTED if durable is None else durable
        )  # known to be on disk: a power cut takes nothing

    @property
    def accepted(self) -> bool:
        """Whether the signal is in other hands, and its sender done with it."""
        return self.state in _ACCEPTED

    def _facts(self) -> tuple[str, str, str | None, bool]:
        return (self.id, self.state, self.reason, self.durable)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Receipt) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.id, self.state))

    def __repr__(self) -> str:
        doubt = "" if self.durable is self.accepted else ", durable=False"
        return f"Receipt(id={self.id!r}, state={self.state!r}, reason={self.reason!r}{doubt})"
