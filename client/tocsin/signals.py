"""Signals and receipts: what a program sends, and what it gets back.

A Signal is a dict of fields, checked once when it is made and frozen after. Values of the right type are taken here as they are; all others
are converted by `normalize`, which the first of them imports, so that an unusual value never costs the alert. Client and daemon run the
same code, because programs in other languages send signals, too. Checking a signal again changes nothing.
"""

from __future__ import annotations

from math import isfinite

from .ids import is_id, new_id
from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Self, TypedDict

    class SignalFields(TypedDict, total=False):
        """The fields of a signal, as keyword arguments of `send` and `Signal`, with their types. Values of other types are converted."""

        title: str | None
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
        host: str | None
        code: bool | None
        markdown: bool | None
        payload: Mapping[str, Any] | None
        done: bool | None
        id: str | None


PRIORITIES = ("urgent", "high", "normal", "low")  # most urgent first: their index is their rank
LARGEST_WHOLE = 2**63 - 1  # MessagePack and SQLite integers end here; larger ones travel as text
TITLE = 256  # code points, as are all of these
BODY = 4096
SHORT = 256  # tier, symbol, key, a field's name
LINK = 2048
PATH = 4096
VALUE = 1024  # of one field
MOST_FIELDS = 25
ALL_VALUES = 12_000  # of all fields together
MOST_TAGS = 25
TAG = 100
NOTE = 200
MOST_NOTES = 30

_LATEST = 1e11  # the year 5138; a larger number is not in seconds

RECEIPT_STATES = ("stored", "spooled", "duplicate", "refused", "dropped")
_ACCEPTED = ("stored", "spooled", "duplicate")


# --- values of the right type: each of these returns the field's value, or None where `normalize` has to convert it ---------


def _short(value: Any) -> str | None:
    return _plain(value) if type(value) is str and len(value) <= SHORT else None


def well_formed(found: str) -> str:
    """`found` without lone surrogates, which UTF-8 cannot encode: a file name read with surrogateescape has them."""
    return found if found.isascii() else found.encode("utf-8", "replace").decode("utf-8")


def _plain(text: str) -> str:
    return text if text.isascii() else well_formed(text)


def _title(value: Any) -> str | None:
    return _plain(value.strip()) or None if type(value) is str and len(value) <= TITLE else None


def _body(value: Any) -> str | None:
    return _plain(value) if type(value) is str and len(value) <= BODY else None


def _link(value: Any) -> str | None:
    return _plain(value) if type(value) is str and len(value) <= LINK else None


def _path(value: Any) -> str | None:
    """A path, unchanged: with replaced characters it would name another file."""
    return value if type(value) is str and len(value) <= PATH else None


def _number(value: Any) -> float | None:
    if type(value) is float:
        return value if isfinite(value) else None
    return float(value) if type(value) is int and -LARGEST_WHOLE <= value <= LARGEST_WHOLE else None


def _confidence(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _expires(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _timestamp(value: Any) -> float | None:
    if type(value) in {float, int} and -_LATEST < value < _LATEST:
        return float(value)
    seconds: float | None = lazy("tocsin.timestamps").to_seconds(value)
    return seconds


def _priority(value: Any) -> str | None:
    return value if type(value) is str and value in PRIORITIES else None


def _fields(value: Any) -> dict[str, Any] | None:  # noqa: C901, PLR0911 - one pass without calls: this runs for every hand-off
    if type(value) is not dict or len(value) > MOST_FIELDS:
        return None
    found = {}
    room = ALL_VALUES
    for name, item in value.items():
        kind = type(item)
        if type(name) is not str or len(name) > SHORT:
            return None
        if kind is str:
            room -= len(item)
            if len(item) > VALUE or room < 0:
                return None
            item = _plain(item)  # noqa: PLW2901 - as it is held
        elif kind is float:
            if not isfinite(item):
                return None
        elif kind is int:
            if not -LARGEST_WHOLE <= item <= LARGEST_WHOLE:
                return None
        elif kind is not bool and item is not None:
            return None
        found[_plain(name)] = item
    return found


def _texts(value: Any) -> list[str] | None:
    if type(value) not in {list, tuple} or len(value) > MOST_TAGS:
        return None
    proper = all(type(item) is str and len(item) <= TAG for item in value)
    return [_plain(item) for item in value] if proper else None


def _notes(value: Any) -> list[str] | None:
    if type(value) is not list or len(value) > MOST_NOTES:
        return None
    proper = all(type(item) is str and len(item) <= NOTE for item in value)
    return [_plain(item) for item in value] if proper else None


def _one_or_more(value: Any) -> list[str] | None:
    return [_plain(value)] if type(value) is str and 0 < len(value) <= TAG else _texts(value)


def _flag(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _payload(value: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = lazy("tocsin.payloads").checked(value) if type(value) is dict else None
    return found


def _id(value: Any) -> str | None:
    text = value.upper() if type(value) is str else ""
    return text if is_id(text) else None


_PROPER: dict[str, Callable[[Any], Any]] = {
    "title": _title,
    "body": _body,
    "priority": _priority,
    "confidence": _confidence,
    "tier": _short,
    "strategy": _short,
    "symbol": _short,
    "action": _short,
    "price": _number,
    "fields": _fields,
    "tags": _texts,
    "key": _short,
    "expires": _expires,
    "timestamp": _timestamp,
    "timestamp_text": _short,
    "link": _link,
    "attach": _path,
    "attach_note": _short,
    "to": _one_or_more,
    "source": _short,
    "host": _short,
    "code": _flag,
    "markdown": _flag,
    "payload": _payload,
    "done": _flag,
    "id": _id,
    "input_notes": _notes,
}
FIELD_NAMES = tuple(_PROPER)


class Signal:
    """One alert, checked and frozen. Absent fields are None; `id` is made when none is given.

    Times are Unix seconds in UTC, `expires` is in seconds, `price` and `confidence` are floats. A value of another type is converted as a
    reader would understand it. A value that cannot be converted, and one with an unknown name, is put into `fields` as text. `input_notes`
    names each. Raises InvalidSignal only for an empty signal: no title, no body, no fields.
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
    timestamp_text: str | None  # the given timestamp, when that could not be read as a time
    link: str | None
    attach: str | None  # a file's path; on the wire its name below the spool, in the journal the name that readers see
    attach_note: str | None  # why the file is not attached
    to: list[str] | None
    source: str | None
    host: str | None  # the machine that the alert is about
    code: bool | None  # the body is output of a program
    markdown: bool | None  # the body is Markdown; `code` wins
    payload: (
        dict[str, Any] | None
    )  # a Discord message that goes as it is; title and body are its text, for other destinations
    done: bool | None  # it ends the story of its key
    input_notes: list[str] | None  # which values were converted, left as text, or cut
    id: str

    def __init__(self, title: Any = None, body: Any = None, /, **fields: Any) -> None:
        object.__setattr__(self, "_values", _checked({"title": title, "body": body, **fields}))

    @classmethod
    def from_dict(cls, values: Mapping[Any, Any]) -> Self:
        """The signal with the fields in `values`. Raises InvalidSignal when it is empty."""
        signal = cls.__new__(cls)
        object.__setattr__(signal, "_values", _checked(values))
        return signal

    @classmethod
    def trusted(cls, values: dict[str, Any]) -> Self:
        """The signal with `values` that were checked before, such as the journal's: they are not checked again."""
        signal = cls.__new__(cls)
        object.__setattr__(signal, "_values", values)
        return signal

    @property
    def has_file(self) -> bool:
        """Whether `attach` is set; quicker than reading the attribute."""
        return "attach" in self._values

    def as_dict(self) -> dict[str, Any]:
        """The fields that are set, in types of JSON and MessagePack."""
        return dict(self._values)

    def __getattr__(self, name: str) -> Any:
        if name in _PROPER:
            return self._values.get(name)
        raise AttributeError(f"a Signal has no {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Signal is frozen; make another")

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
    odd: list[tuple[Any, Any]] = []
    for name, value in given.items():
        if value is None:
            continue
        check = _PROPER.get(name) if type(name) is str else None
        held = None if check is None else check(value)
        if held is None:
            odd.append((name, value))
        else:
            values[name] = held
    if odd or "title" not in values:
        lazy("tocsin.normalize").complete(values, odd)
    if "id" not in values:
        values["id"] = new_id()
    return values


needed_at_exit("tocsin.normalize")
needed_at_exit("tocsin.payloads")
needed_at_exit("tocsin.timestamps")


class Receipt:
    """The result of a hand-off: `state` is one of RECEIPT_STATES, `reason` says why when it is not `stored`.

    `stored`: synced to disk, where a daemon takes it. `duplicate`: a daemon has stored this id before. `spooled`: synced to disk, and no
    daemon answered. `refused`: never to be stored as it is. `dropped`: neither a daemon nor the disk has it. With ack=received or none a
    signal that was sent is `stored`, too, but `durable` is False and `reason` says what was not waited for.
    """

    __slots__ = ("durable", "id", "reason", "state")

    def __init__(self, id: str, state: str, reason: str | None = None, *, durable: bool | None = None) -> None:  # noqa: A002 - the contract's name
        self.id = id
        self.state = state
        self.reason = reason
        self.durable = state in _ACCEPTED if durable is None else durable  # synced to disk: it survives a power cut

    @property
    def accepted(self) -> bool:
        """Whether the signal was handed over, so that its sender need not send it again."""
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
