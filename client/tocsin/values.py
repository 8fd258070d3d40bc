"""Converts values of foreign types, as a reader would understand them.

Prices come as `"64,000.50"`, Decimal or numpy.float32, a confidence as `"95%"`, a priority as logging.CRITICAL, a key as a number, a
missing value as NaN or pandas.NA. Each function here converts one kind of value. It returns the value of the field, or raises:

    Absent       there is no value (NaN, NaT, NA, infinity, an empty text for a number)
    Unreadable   the value is of another kind; `describe` turns it into text, which the message shows

Foreign methods may raise anything, and the caller treats that as Unreadable. numpy and pandas are recognised by their methods; neither is
imported. Containers are read up to a bound (_MOST_ITEMS, _DEEPEST), so that a recursive or endless one cannot block a send.
"""

from __future__ import annotations

import time
from enum import Enum
from itertools import islice
from math import isfinite, log10

from .durations import parse_duration
from .lazy_import import lazy
from .number_text import parse_number
from .signals import LARGEST_WHOLE, well_formed
from .timestamps import to_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


_WORDS = {
    "urgent": "urgent critical crit emergency emerg fatal alert panic page highest max maximum p0 p1",
    "high": "high error err major p2",
    "normal": "normal warning warn medium moderate default notice p3",
    "low": "low info information informational debug trace minor lowest min minimum p4 p5",
}
_PRIORITY_OF = {word: priority for priority, words in _WORDS.items() for word in words.split()}
_LEVELS = ((50, "urgent"), (40, "high"), (30, "normal"), (10, "low"))  # those of `logging`
_HIGHEST_LEVEL = 60
_MISSING_TYPES = (
    "NAType",
    "NaTType",
    "MaskedConstant",
)  # pandas.NA and NaT, numpy.ma.masked: == does not return a bool
_ROUNDING = 1e-6  # a sum of weights may exceed 1 by so much without being a percentage
_OF_TIMES = ("timetuple", "total_seconds")  # methods of times and durations
_BOOLS = ("bool", "bool_")  # Python's and numpy's
_CONTAINERS = (list, tuple, dict, set, frozenset)
_BYTES = (bytes, bytearray, memoryview)
_MOST_BYTES = 64 * 1024  # that become text
_MOST_DIGITS = 1000  # of a whole number as text; a larger one is written as a power of ten
_PIECE = 600  # digits; Python may be configured to convert at most 640 at once
_ITERATORS = frozenset(
    ("generator", "map", "filter", "zip", "enumerate", "list_iterator", "dict_keys", "dict_values", "dict_items")
)
_FUNCTIONS = ("function", "method", "builtin_function_or_method")
_PERCENT = ("%", "\uff05", "percent", "pct")
_PERCENT_LETTERS = "%\uff05percntPERCNT \t\n"
_LONGEST_WORD = 64  # characters; a longer text is neither a priority nor a duration
_MOST_ITEMS = 50
_DEEPEST = 4
_LONGEST_TEXT = 8192  # characters of a container's text


class Absent(Exception):  # noqa: N818 - not an error
    """There is no value; the text says why."""


class Unreadable(Exception):  # noqa: N818 - as above
    """The value is not of this kind."""


def is_missing(value: Any) -> bool:
    """Whether `value` is None, NaN, NaT, NA or masked, as table libraries mark missing values."""
    kind = type(value)
    if value is None or kind.__name__ in _MISSING_TYPES:
        return True
    if issubclass(kind, (str, bytes, bool)):
        return False
    try:
        differs = value != value  # noqa: PLR0124 - NaN differs from itself
    except Exception:  # noqa: BLE001 - a foreign __ne__, or Decimal("sNaN"), which cannot be compared
        return kind.__name__ == "Decimal" and "sNaN" in repr(value)
    return type(differs).__name__ in _BOOLS and bool(differs)  # arrays and columns answer with another array


def number(value: Any) -> float:
    """A finite number: any numeric type, an array of one element, a text such as `64,000.50`, an enum or value object that holds one."""
    value = scalar(value)
    kind = type(value)
    if issubclass(kind, (str, *_BYTES)):
        return _number_in(_text_in(value) or "")
    if issubclass(kind, (bool, complex)) or _is_time(value):
        raise Unreadable
    if not hasattr(kind, "__float__"):
        return number(_held(value))
    found = float(value)
    if isfinite(found):
        return found
    if found != found or value == found:  # noqa: PLR0124 - as above
        raise Absent("not a finite number")
    raise Unreadable  # Decimal("1e999") is finite, and too large for a float


def confidence(value: Any) -> float:
    """A share from 0 to 1, given as one or as percent: `0.95`, `95`, `"95%"`."""
    text = _text_in(value)
    if text is not None and text[-_LONGEST_WORD:].rstrip().lower().endswith(_PERCENT):
        share = _number_in(text.rstrip(_PERCENT_LETTERS)) / 100
    else:
        share = number(value)
        share = share / 100 if share > 1 + _ROUNDING else share
    if not -_ROUNDING <= share <= 1 + _ROUNDING:
        raise Unreadable
    return min(max(0.0, round(share, 12)), 1.0)


def priority(value: Any) -> str:
    """One of PRIORITIES: by these or the usual other words, as text or as an enum's value or name, or by a level of `logging`."""
    names = [getattr(value, "value", None), getattr(value, "name", None)] if isinstance(value, Enum) else [value]
    for each in names:
        text = _text_in(each)
        found = _PRIORITY_OF.get("" if text is None or len(text) > _LONGEST_WORD else text.strip().lower())
        if found is not None:
            return found
    level = number(value)
    if level <= _HIGHEST_LEVEL:
        for least, word in _LEVELS:
            if level >= least:
                return word
    raise Unreadable


def expires(value: Any) -> float:
    """Seconds from now: a number, a duration such as `90s`, a timedelta of any library, or a time with a time zone."""
    seconds = _seconds(value)
    if not isfinite(seconds):
        raise Absent("not a finite number")
    if seconds <= 0:
        raise Absent("zero or less does not count")
    return seconds


def _seconds(value: Any) -> float:
    text = _text_in(value)
    if text is not None:
        try:
            return parse_duration(text if len(text) <= _LONGEST_WORD else "too long")
        except ValueError:
            return _number_in(text)
    if hasattr(value, "astype") and "timedelta64" in str(getattr(value, "dtype", "")):
        return float(value.astype("timedelta64[ns]").astype("int64")) / 1e9
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    if attribute(value, "tzinfo") is not None:
        return (to_seconds(value) or 0.0) - time.time()
    return number(value)


def text(value: Any) -> str:
    """`value` as text: a text, a number's digits, an enum's value or name, the items of a list, or the result of __str__."""
    value = scalar(value)
    found = _text_in(value)
    if found is None:
        found = _figure(value) if isinstance(value, (int, float)) else _items_in(value, 0)
    return well_formed(_own_words(value) if found is None else found)


def texts(value: Any, most: int) -> tuple[list[str], str | None]:
    """At most `most` texts, of a list, set, tuple, generator, array or mapping, or of one value. Missing values are left out.

    With a text for the exception that ended them, if the iterator raised one.
    """
    single = _text_in(value)
    if single is not None or not hasattr(value, "__iter__") or getattr(value, "shape", None) == ():
        return [] if single == "" else [text(value)], None
    if hasattr(value, "items") and not hasattr(value, "dtype"):
        pairs, failure = first_of(value.items(), most)
        return [f"{describe(name)}={describe(item)}" for name, item in pairs], failure
    items, failure = first_of(value, most)
    found = [describe(item) for item in items if not is_missing(item)]
    return sorted(found) if isinstance(value, (set, frozenset)) else found, failure


def first_of(items: Iterable[Any], most: int) -> tuple[list[Any], str | None]:
    """The first items, and a text for the exception that ended them, if the iterator raised one. Raises it where there is no item."""
    found: list[Any] = []
    try:
        for item in islice(items, most):
            found.append(item)  # noqa: PERF402 - the items before an exception are kept
    except Exception as error:
        if not found:
            raise
        return found, describe(error)
    return found, None


def pairs(value: Any) -> Iterable[Any] | None:
    """Names and values of a mapping, a named tuple, a dataclass or a list of pairs; None where `value` has none."""
    if hasattr(value, "items"):
        return value.items()  # type: ignore[no-any-return]
    if hasattr(value, "_asdict"):
        return value._asdict().items()  # type: ignore[no-any-return]
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return [(name, attribute(value, name)) for name in value.__dataclass_fields__]
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, tuple) and len(each) == 2 for each in value):
        return value
    return None


def path(value: Any) -> str:
    """A path, unchanged: with replaced characters it would name another file."""
    found = value.__fspath__() if hasattr(value, "__fspath__") else scalar(value)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "surrogateescape")
    if not isinstance(found, str):
        raise Unreadable
    return str.__str__(found)


def field(value: Any) -> Any:
    """A field's value as text, number or bool; any other value as text. Raises Absent, and nothing else."""
    try:
        return _field(scalar(value))
    except Absent:
        raise
    except Exception:  # noqa: BLE001 - a foreign __class__ or __float__ may raise anything
        return describe(value)


def _field(value: Any) -> Any:
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_WHOLE else _figure(value)
    if not isinstance(value, (str, bytes, Enum)) and hasattr(type(value), "__float__") and not _is_time(value):
        try:
            return number(value)
        except Unreadable:
            pass
    return describe(value)


def describe(value: Any) -> str:
    """`value` as text; the name of its type where it has no text of its own, or fails to make it. Never raises."""
    try:
        return text(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return well_formed(type(value).__name__)


def attribute(value: Any, name: str) -> Any:
    """An attribute of a foreign object; None where it has none, or a property raises."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - as above
        return None


def scalar(value: Any) -> Any:
    """The value in a numpy scalar, an array of one element or a table's cell; any other value unchanged."""
    kind = type(value)
    if (
        issubclass(kind, (str, bytes, int, float))
        or kind.__name__ in _MISSING_TYPES
        or not hasattr(kind, "item")
        or not hasattr(kind, "dtype")
    ):
        return value
    if getattr(value, "size", 1) != 1:
        return value
    if _is_time(value):
        return _one_time(value)
    found = value.item()
    if isinstance(found, float) and str(value.dtype) in ("float16", "float32"):
        return float(str(found if getattr(value, "shape", ()) else value))  # 0.1, not 0.10000000149011612
    return found


def _is_time(value: Any) -> bool:
    """Whether it is a time of numpy or pandas, whose number depends on its unit."""
    kind = type(value)
    return any(hasattr(kind, name) for name in _OF_TIMES) or str(attribute(value, "dtype")).startswith(
        ("datetime64", "timedelta64")
    )


def _one_time(value: Any) -> Any:
    """A time of numpy or pandas; of an array or column of one, its element."""
    if not getattr(value, "shape", ()):
        return value
    found = value.item()
    return found if _is_time(found) else value.reshape(-1)[0]  # `item` of nanoseconds is a number


def _text_in(value: Any) -> str | None:
    """The text in a str, in bytes, in an enum's member or in a value object; None where there is none."""
    kind = type(value)
    if issubclass(kind, Enum):
        held = value._value_
        return str.__str__(held) if isinstance(held, str) else str(value.name or value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, _BYTES):
        return bytes(value[:_MOST_BYTES]).decode("utf-8", "replace")
    held = attribute(value, "value")
    return str.__str__(held) if issubclass(type(held), str) else None


def _held(value: Any) -> Any:
    """The number in a value object or an enum's member."""
    held = value._value_ if isinstance(value, Enum) else attribute(value, "value")
    if held is None or held is value or callable(held):
        raise Unreadable
    return held


def _number_in(found: str) -> float:
    read = parse_number(found)
    if read is None:
        raise Absent("an empty value")
    return read


def _figure(value: Any) -> str:
    """A number's digits; a whole one without a fraction, so that a table's 4711.0 is the key 4711."""
    if isinstance(value, bool):
        return str(bool(value))
    if isinstance(value, float):
        return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(float(value))
    return _digits(int(value))


def _digits(value: int) -> str:
    sign, size = "-" if value < 0 else "", abs(value)
    if size < 10**_MOST_DIGITS:
        high, low = divmod(size, 10**_PIECE)
        return f"{sign}{high}{low:0{_PIECE}}" if high else f"{sign}{low}"
    exponent = log10(size)
    return f"{sign}{10 ** (exponent % 1):.6f}e+{int(exponent)}"


def _items_in(value: Any, depth: int) -> str | None:
    """The items of a container as text, fewer at greater depth; None where `value` is not a container."""
    most = _MOST_ITEMS >> 2 * depth
    if is_mapping(value):
        pairs, failure = first_of(value.items(), most + 1)
        found = [f"{_item(name, depth)}: {_item(item, depth)}" for name, item in pairs]
    elif _is_sequence(value):
        items, failure = first_of(value, most + 1)
        found = [_item(item, depth) for item in items]
        found = sorted(found) if isinstance(value, (set, frozenset)) else found
    else:
        return None
    shown = found[:most] + (["…"] if failure or len(found) > most else [])
    return ", ".join(shown)[:_LONGEST_TEXT]


def _item(value: Any, depth: int) -> str:
    """An item of a container. Nested ones count their depth, whatever their type: two endless ones would not end otherwise."""
    if not (is_mapping(value) or _is_sequence(value)):
        return describe(value)
    if depth >= _DEEPEST:
        return "…"
    try:
        return f"[{_items_in(value, depth + 1)}]"
    except Exception:  # noqa: BLE001 - a foreign iterator may raise anything
        return type(value).__name__


def is_mapping(value: Any) -> bool:
    """Whether `value` has names and values: a mapping, or what behaves as one, such as a row of pandas. Never raises."""
    kind = type(value)
    return issubclass(kind, dict) or all(hasattr(kind, name) for name in ("items", "keys", "__getitem__"))


def _is_sequence(value: Any) -> bool:
    """Whether a reader means its items. Other iterables have texts of their own, or are read at a cost, as files are."""
    kind = type(value)
    return issubclass(kind, _CONTAINERS) or kind.__name__ in _ITERATORS


def _own_words(value: Any) -> str:
    """The result of `str(value)`, without addresses; the name of a class or function.

    Raises Unreadable where that is Python's default, such as <Bar object at 0x7f...>.
    """
    kind = type(value)
    if issubclass(kind, type) or kind.__name__ in _FUNCTIONS:
        return str(value.__name__)
    if all(getattr(kind, name) is getattr(object, name) for name in ("__str__", "__repr__")):
        raise Unreadable
    said = str(value)
    if " at 0x" in said:
        said = lazy("re").sub(r"(<[^<>]*) at 0x[0-9a-fA-F]+(?=[^<>]*>)", r"\1", said)
    return f"{kind.__name__}: {said}" if isinstance(value, BaseException) else said
