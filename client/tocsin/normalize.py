"""Converts values of unusual types into the fields of a signal: the alert matters more than its fields.

`Signal` takes values of the right type as they are and passes the others to `complete`. Each of those is

    converted   to the field's type (tocsin.values)
    missing     NaN, None, an empty text for a number: the field is absent
    unreadable  put into `fields` under the same name, as text
    unknown     a name that is not a field of a signal: put into `fields` under that name
    too long    cut

and a line in `input_notes` records it, which the receipt's reason and `tocsin why` show. A conversion that changes only the type of a value
is not noted (Decimal, Enum, timedelta, a tuple of tags). Only an empty signal is refused.

The limits are part of the public contract, and small enough that the largest signal fits a frame: six bytes of JSON a character.
"""

from __future__ import annotations

from binascii import crc32
from enum import Enum
from itertools import islice

from . import payloads
from . import values as read
from .errors import InvalidSignal
from .ids import is_id
from .signals import (
    ALL_VALUES,
    BODY,
    LINK,
    MOST_FIELDS,
    MOST_NOTES,
    MOST_TAGS,
    NOTE,
    PATH,
    PRIORITIES,
    SHORT,
    TAG,
    TITLE,
    VALUE,
)
from .timestamps import to_seconds
from .titles import show_payload, title_from
from .values import Absent, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_MARK = "…"  # marks a cut
_TEXTS = ("tier", "strategy", "symbol", "action", "source", "timestamp_text", "attach_note", "host")
_QUOTED = 40  # characters of a value that a note repeats


def complete(values: dict[str, Any], odd: Iterable[tuple[Any, Any]]) -> None:
    """Convert the `odd` pairs of name and value into `values`, and make a title if there is none. Raises InvalidSignal if empty."""
    reader = _Reader(values)
    for name, value in odd if values.keys() & {"title", "body", "fields", "payload"} else payloads.gathered(list(odd)):
        reader.take(name, value)
    reader.finish()


def is_readable(name: str, value: Any) -> bool:
    """Whether `value` can be converted for the field `name`. Not for iterators, which can be read only once. Never raises."""
    try:
        value = read.scalar(value)
        if read.is_missing(value):
            return False
        _READERS[name](_Reader({}), name, value)
    except Exception:  # noqa: BLE001 - Unreadable, Absent, or what a foreign method raised
        return False
    return True


class _Reader:
    """Converts one signal: its `values`, `notes` on conversions, and in `left` the values that are put into `fields`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.notes: list[str] = []
        self.left: dict[str, Any] = {}

    def take(self, name: Any, value: Any) -> None:
        """Convert one value. Never raises, also when foreign methods do."""
        name = str.__str__(name) if issubclass(type(name), str) else name
        read_one = _READERS.get(name) if type(name) is str else None
        try:
            value = read.scalar(value)
            if read.is_missing(value):
                raise Absent("missing")  # noqa: TRY301 - handled like the errors below
            if read_one is None:
                self._take_unknown(name, value)
            else:
                self.values[name] = read_one(self, name, value)
        except Absent as absent:
            self.note(name, f"{absent}; left out")
        except Exception:  # noqa: BLE001 - Unreadable, or what a foreign method raised
            self._leave(name, value)

    def note(self, name: Any, said: str) -> None:
        """Add a note on a value."""
        self.notes.append(f"{read.describe(name)[:_QUOTED]}: {said}")

    def note_failure(self, name: str, failure: str | None) -> None:
        """Add a note where reading ended with an exception: what came before it is in the signal."""
        if failure:
            self.note(name, f"could not be read to its end: {failure}")

    def cut(self, name: str, text: str, most: int) -> str:
        """`text`, cut to `most` characters."""
        if len(text) <= most:
            return text
        self.note(name, f"cut from {len(text):,} to {most:,} characters")
        return text[: most - 1] + _MARK

    def _take_unknown(self, name: Any, value: Any) -> None:
        self.left[read.describe(name)] = value
        self.note(name, "not a field of a signal; added to the fields")

    def _leave(self, name: str, value: Any) -> None:
        """Keep a value that cannot be converted as text in the message."""
        if name == "title":
            self.values["title"] = self.cut(name, read.describe(value), TITLE)
        elif name == "timestamp":
            self.values["timestamp_text"] = read.describe(value)[:NOTE]
        elif name != "input_notes":
            self.left[name] = read.describe(value)
        self.note(name, f"cannot be read as {_MEANT.get(name, 'text')}; shown as text")

    def finish(self) -> None:
        """Merge `left` into the fields, make a title where there is none, and store the notes."""
        if self.left:
            pairs = [*self.left.items(), *(self.values.get("fields") or {}).items()]
            self.values["fields"] = self.fields(pairs, len(pairs))
        if "title" not in self.values:
            self._make_title()
        if self.notes:
            earlier = self.values.get("input_notes") or []
            self.values["input_notes"] = [note[:NOTE] for note in [*earlier, *self.notes]][:MOST_NOTES]

    def fields(self, pairs: list[tuple[Any, Any]], total: int | None) -> dict[str, Any]:
        """The fields of `pairs`, in plain types and within the limits. `total` is the number of pairs, None where it is unknown."""
        kept = pairs if len(pairs) <= MOST_FIELDS else pairs[: MOST_FIELDS - 1]
        found: dict[str, Any] = {}
        room = ALL_VALUES - 40  # for the field that counts the rest
        for behind, (name, value) in zip(range(len(kept) - 1, -1, -1), kept, strict=True):
            label = _free(read.describe(name)[:SHORT], found)
            try:
                most = min(VALUE, room - behind)  # one character at least for each following field
                found[label] = held = self._field(label, value, most)
                room -= len(held) if isinstance(held, str) else 0
            except Absent as absent:
                self.note(f"fields.{label}", f"{absent}; left out")
        if len(pairs) > len(kept):
            found[_MARK] = "and more" if total is None else f"and {total - len(kept):,} more"
            self.note("fields", f"the first {len(kept)} are shown, {found[_MARK]}")
        return found

    def _field(self, label: str, value: Any, most: int) -> Any:
        if value is not None and read.is_missing(value):
            raise Absent("missing")
        held = None if value is None else read.field(value)
        if not isinstance(held, str):
            return held
        if type(value) in _NOT_PLAIN:
            self.note(f"fields.{label}", f"a {type(value).__name__}, shown as text")
        return self.cut(f"fields.{label}", held, most)

    def _make_title(self) -> None:
        """Make a title from the payload or the other fields. Raises InvalidSignal if the signal is empty."""
        values = self.values
        if "payload" in values:  # its text, which is no other than what was given
            show_payload(values, values["payload"])
            return
        made = title_from(values)
        if not made:
            raise InvalidSignal("title", "is required, or a body, or fields: this signal is empty")
        values["title"] = made if len(made) <= TITLE else made[: TITLE - 1] + _MARK
        self.note("title", "none was given; made from the other fields")


def _free(label: str, taken: dict[str, Any]) -> str:
    """`label`, changed where another field has it."""
    while label in taken:
        label = f"{label} (given)" if len(label) < SHORT - 8 else f"{label[:-12]}…{len(taken)}"
    return label


def _words(reader: _Reader, name: str, value: Any) -> str:
    """The text of `value`, with a note where its type is neither text nor an Enum."""
    found = read.text(value)
    if isinstance(value, (int, float, *_NOT_PLAIN)) and not isinstance(value, Enum):
        reader.note(name, f"read {_quoted(value)} as text")
    return found


def _text(reader: _Reader, name: str, value: Any) -> str:
    return reader.cut(name, _words(reader, name, value), SHORT)


def _title(reader: _Reader, name: str, value: Any) -> str:
    found = _words(reader, name, value).strip()
    if not found:
        raise Absent("empty")
    return reader.cut(name, found, TITLE)


def _body(reader: _Reader, name: str, value: Any) -> str:
    """A text; a list or generator of texts becomes lines."""
    if isinstance(value, (list, tuple)) or hasattr(value, "gi_frame"):
        reader.note(name, "read as lines")
        return reader.cut(name, _lines(value), BODY)
    return reader.cut(name, _words(reader, name, value), BODY)


def _lines(value: Any) -> str:
    """Texts as lines, as many as fit a body."""
    found = ""
    for line in islice(value, BODY):
        found += f"{read.describe(line)}\n"
        if len(found) > BODY + 1:
            break
    return found[:-1]


def _key(reader: _Reader, name: str, value: Any) -> str:
    """A key that is too long is cut and gets a checksum, so that two long keys stay different."""
    found = _words(reader, name, value)
    if len(found) <= SHORT:
        return found
    reader.note(name, f"cut from {len(found):,} to {SHORT} characters")
    content = found.encode()
    return f"{found[: SHORT - 17]}{_MARK}{crc32(content):08x}{crc32(content[::-1]):08x}"


def _link(_: _Reader, __: str, value: Any) -> str:
    found = read.text(value)
    if len(found) > LINK:
        raise Unreadable
    return found


def _path(reader: _Reader, name: str, value: Any) -> str:
    """One path. Of a list of several the first is attached, and the message names the others."""
    if isinstance(value, (list, tuple)) and value:
        value, *others = value
        if others:
            reader.left[name] = ", ".join(map(read.describe, others))
            reader.note(name, f"a signal has one file: the first of {len(others) + 1}")
    found = read.path(value)
    if len(found) > PATH:
        raise Unreadable
    return found


def _price(reader: _Reader, name: str, value: Any) -> float:
    found = read.number(value)
    _noted(reader, name, value, found, expected=not isinstance(value, _TEXT_LIKE))
    return found


def _confidence(reader: _Reader, name: str, value: Any) -> float:
    found = read.confidence(value)
    expected = not isinstance(value, _TEXT_LIKE) and abs(read.number(value) - found) < 1e-3
    _noted(reader, name, value, found, expected=expected)
    return found


def _noted(reader: _Reader, name: str, value: Any, found: Any, *, expected: bool) -> None:
    if not expected:
        reader.note(name, f"read {_quoted(value)} as {found}")


def _priority(reader: _Reader, name: str, value: Any) -> str:
    found = read.priority(value)
    said = read.describe(value).strip().lower()
    _noted(reader, name, value, found, expected=said == found or not isinstance(value, (str, int, float)))
    return found


def _timestamp(_: _Reader, __: str, value: Any) -> float:
    seconds = to_seconds(value)
    if seconds is None:
        raise Unreadable
    return seconds


def _id(_: _Reader, __: str, value: Any) -> str:
    found = read.text(value).strip().upper()
    if not is_id(found):
        raise Unreadable
    return found


def _flag(_: _Reader, __: str, value: Any) -> bool:
    word = read.describe(value).strip().lower()
    if word not in _ON | _OFF:
        raise Unreadable
    return word in _ON


def _payload(reader: _Reader, _: str, value: Any) -> dict[str, Any]:
    try:
        found = payloads.read(value)
    except payloads.TooLarge as large:
        show_payload(reader.values, dict(large.payload))
        raise Absent(f"larger than {payloads.MOST_BYTES // 1024} KiB, its text is sent instead") from None
    if not found:
        raise Absent("empty")
    return found


def _tags(reader: _Reader, name: str, value: Any) -> list[str]:
    if isinstance(value, (*_TEXT_LIKE, int, float)):
        reader.note(name, "read as one tag")
    return _several(reader, name, value)


def _several(reader: _Reader, name: str, value: Any) -> list[str]:
    found, failure = read.texts(value, MOST_TAGS + 1)
    reader.note_failure(name, failure)
    if not found:
        raise Absent("empty")
    if len(found) > MOST_TAGS:
        reader.note(name, f"the first {MOST_TAGS} are taken")
    return [reader.cut(name, each, TAG) for each in found[:MOST_TAGS]]


def _notes(_: _Reader, __: str, value: Any) -> list[str]:
    return [each[:NOTE] for each in read.texts(value, MOST_NOTES)[0]]


def _fields(reader: _Reader, name: str, value: Any) -> dict[str, Any]:
    """Fields of a mapping, a table's row, a dataclass, a named tuple, or a list of pairs."""
    pairs = read.pairs(value)
    if pairs is None:
        raise Unreadable
    first, failure = read.first_of(pairs, MOST_FIELDS + 1)
    reader.note_failure(name, failure)
    total = len(value) if hasattr(value, "__len__") else None
    if not hasattr(value, "items"):
        reader.note(name, f"read a {type(value).__name__} as names and values")
    return reader.fields(first, total)


def _quoted(value: Any) -> str:
    return repr(read.describe(value)[:_QUOTED]) if isinstance(value, _TEXT_LIKE) else read.describe(value)[:_QUOTED]


_ON = frozenset({"true", "yes", "on", "1"})
_OFF = frozenset({"false", "no", "off", "0", ""})
_TEXT_LIKE = (str, bytes, bytearray, memoryview)
_NOT_PLAIN = (bytes, bytearray, memoryview, list, tuple, dict, set, frozenset)
_MEANT = {
    "price": "a number",
    "confidence": "a share from 0 to 1",
    "priority": f"one of {', '.join(PRIORITIES)}",
    "expires": "a duration",
    "timestamp": "a time",
    "fields": "names and values",
    "link": f"an address of at most {LINK:,} characters",
    "attach": "a path",
    "code": "yes or no",
    "markdown": "yes or no",
    "payload": "a Discord message",
    "done": "yes or no",
    "id": "a ULID, so the signal has another",
}
_READERS: dict[str, Callable[[_Reader, str, Any], Any]] = {
    "title": _title,
    "body": _body,
    "priority": _priority,
    "confidence": _confidence,
    **dict.fromkeys(_TEXTS, _text),
    "price": _price,
    "fields": _fields,
    "tags": _tags,
    "key": _key,
    "expires": lambda _, __, value: read.expires(value),
    "timestamp": _timestamp,
    "link": _link,
    "attach": _path,
    "to": _several,
    "code": _flag,
    "markdown": _flag,
    "payload": _payload,
    "done": _flag,
    "id": _id,
    "input_notes": _notes,
}
