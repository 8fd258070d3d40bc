"""Text that others wrote, clean: without what a terminal obeys and what no reader sees. And cut to fit, in any unit.

Two kinds of text are cut at their head, because their end is what counts: one that begins with MARK, for it was cut there before, and a
traceback.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

MARK: Final = "…"  # stands where something was cut
EMPTY: Final = "—"  # stands where a service insists on a text and there is none
TRACEBACK: Final = "Traceback (most recent call last)"

Measure = Callable[[str], int]  # the length of a text in the unit of a service; it never shrinks when the text grows

_BREAKS: Final = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Controls, half characters, the byte order mark, and what turns the direction of all that follows.
_UNSAFE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u202a-\u202e\u2066-\u2069]")
# What a terminal obeys: colours and cursor (CSI), titles and links (OSC), other strings, and two-character sequences (ECMA-48).
_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\|\x9c)|\x1b[ -/]*[0-~]"
)
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Mn", "Zl", "Zp", "Zs"})

_BLANK_LINES: Final = re.compile("\n(?:(?:[^\\S\n]|[\u00ad\u180e\u200b-\u200f\u2060-\u2064])*\n){2,}")
_OVERWRITTEN: Final = re.compile(r"^[^\n]*\r(?=[^\r\n])", re.MULTILINE)
_EDGES: Final = re.compile(r"\A(?:[^\S\n]*\n)+|\s+\Z")


def cleaned(text: str) -> str:
    """`text` without escape sequences of terminals and invisible or harmful characters; of several blank lines one stays."""
    return _BLANK_LINES.sub("\n\n", _UNSAFE.sub("", _BREAKS.sub("\n", _SEQUENCE.sub("", text))))


def clean(text: str) -> str:
    """The same without white space at both ends."""
    return cleaned(text).strip()


def one_line(text: str) -> str:
    """`text` clean, and on one line."""
    parts = map(str.strip, re.split(r"[\n\t]+", clean(text)))
    return " ".join(part for part in parts if part)


def output_of_program(text: str) -> str:
    """`text` clean, without blank lines at both ends; empty when a reader would see nothing. A line that was overwritten with carriage
    returns is its last state, as in a terminal.
    """
    output = _EDGES.sub("", cleaned(_OVERWRITTEN.sub("", text)))
    return "" if is_blank(output) or output == MARK else output


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing."""
    return all(unicodedata.category(letter) in _INVISIBLE or letter.isspace() for letter in text)


def ends_in_what_counts(text: str) -> bool:
    """Whether `text` is to be cut at its head."""
    return text.startswith(MARK) or TRACEBACK in text


def utf16_units(text: str) -> int:
    """The length in UTF-16 units, which Telegram counts."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def utf8_bytes(text: str) -> int:
    """The length in bytes of UTF-8."""
    return len(text.encode())


def fitted(text: str, most: int, measure: Measure = len, *, at_head: bool | None = None) -> str:
    """`text` in at most `most` units, marked where it was cut; empty where not even the mark fits. For text without markup.

    `at_head` None: the head is cut where the end is what counts.
    """
    if measure(text) <= most:
        return text
    if measure(MARK) > most:
        return ""
    at_head = ends_in_what_counts(text) if at_head is None else at_head
    low, high = 0, len(text)
    while low < high:  # the most code points that fit
        middle = (low + high + 1) // 2
        part = text[len(text) - middle :] if at_head else text[:middle]
        low, high = (middle, high) if measure(part) + measure(MARK) <= most else (low, middle - 1)
    return MARK + text[len(text) - low :].lstrip() if at_head else text[:low].rstrip() + MARK
