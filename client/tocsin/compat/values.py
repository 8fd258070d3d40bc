"""Foreign values: each of these makes of anything what a signal can carry, or None where it is not that. None of them raises.

They are cut so that the worst signal, of control characters that take six bytes each, still fits a frame: what is too large would be
refused. A webhook's URL among texts is masked: contexts are often somebody's whole configuration.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from math import isfinite
from typing import Any

from tocsin.durations import parse_duration
from tocsin.ids import is_id
from tocsin.timestamps import to_seconds

from .words import attribute, word_of

_LONGEST = 256  # code points of what is one word or one line
_LONGEST_BODY = 4096
_LONGEST_VALUE = 1024
_MOST_TAGS = 10
_WEBHOOK = re.compile(r"\S*webhooks/[0-9]+/\S*")


def field_of(value: Any) -> Any:
    """As a field carries it: a number, true or false, nothing, or a text; what does not say what it is by its type."""
    if attribute(value, "__class__") is None:
        return type(value).__name__
    if value is None or isinstance(value, bool):
        return value
    number = number_of(value)
    text = word_of(value) if number is None else None
    if number is None:
        return masked(text if text is not None else described(value))[:_LONGEST_VALUE]
    return int(value) if isinstance(value, int) and abs(value) < 2**63 else number


def masked(text: str) -> str:
    """Without what looks like a webhook."""
    return _WEBHOOK.sub("****", text) if "webhooks/" in text else text


def described(value: Any) -> str:
    """How it calls itself; else its type's name."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return type(value).__name__


def line_of(value: Any) -> str | None:
    """A text of one line."""
    word = word_of(value)
    return (masked(" ".join(word[: 2 * _LONGEST].split()))[:_LONGEST] or None) if word else None


def text_of(value: Any) -> str | None:
    """A text of several."""
    word = word_of(value)
    return masked(word)[:_LONGEST_BODY] if word else None


def tier_of(value: Any) -> str | None:
    """As routes have it: in small letters."""
    line = line_of(value)
    return line.lower() if line else None


def action_of(value: Any) -> str | None:
    """BUY, SELL, HOLD or any word, in capitals."""
    line = line_of(value)
    return line.upper() if line else None


def symbol_of(value: Any) -> str | None:
    """Its text, or that of the thing it is the symbol of."""
    names = ("symbol", "ticker", "name")
    return line_of(value) or next(filter(None, (line_of(attribute(value, name)) for name in names)), None)


def number_of(value: Any) -> float | None:
    """A finite number, or that in a value object; texts are none."""
    if type(value) is float:
        return value if isfinite(value) else None
    inner = value if attribute(value, "__float__") else attribute(value, "value")
    if inner is None or isinstance(inner, (str, bytes, bool)) or not attribute(inner, "__float__"):
        return None
    with suppress(Exception):  # a foreign __float__ may raise anything
        number = float(inner)
        return number if isfinite(number) else None
    return None


def confidence_of(value: Any) -> float | None:
    """A number from 0 to 1; a text that is one will do, for programs get it from JSON and from tables."""
    number = number_of(value)
    text = word_of(value) if number is None else None
    if text is not None:
        with suppress(ValueError):
            number = float(text)
    return number if number is not None and 0 <= number <= 1 else None


def expires_of(value: Any) -> float | None:
    """Seconds, or a duration like 90s."""
    seconds = number_of(value)
    with suppress(ValueError):
        seconds = parse_duration(value) if isinstance(value, str) else seconds
    return seconds if seconds is not None and seconds >= 0 else None


def timestamp_of(value: Any) -> Any:
    """As it is, where it can be read as a time; else its text, so that the ledger has it."""
    return value if to_seconds(value) is not None else described(value)[:_LONGEST]


def tags_of(value: Any) -> list[str] | None:
    """The texts of a list, or one."""
    if word_of(value):
        value = [value]
    if not isinstance(value, (list, tuple, set, frozenset)):
        return None
    return [line for line in map(line_of, list(value)[:_MOST_TAGS]) if line] or None


def path_of(value: Any) -> str | None:
    """A file's path as it is, of a text or what stands for a path."""
    with suppress(Exception):  # a foreign __fspath__ may raise anything
        path = os.fspath(value)
        return path if isinstance(path, str) and 0 < len(path) <= _LONGEST_BODY else None
    return None


def id_of(value: Any) -> str | None:
    """A signal's id; the number that a row of a table has is none."""
    text = word_of(value)
    return text.upper() if text and is_id(text.upper()) else None
