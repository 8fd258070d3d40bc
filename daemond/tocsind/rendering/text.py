"""Text that others wrote, made safe to show: cleaned, escaped, cut, in this order.

Escaping happens only where Discord would do something: `BUY BTC-USDT (4h) | 93 %` goes out as it is, and `ma_unified` too, because an
underscore between letters or digits opens and closes nothing as long as every other one is escaped. A backslash before anything but a
letter, a digit or white space is what Discord removes, so a text of pairs is read as it was written, and what is cut is cut
between pairs. Addresses stay as they are where Discord makes links of them: it takes them before it looks for escapes, so a backslash
inside would be shown, and followed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MARK: Final = "…"  # stands where something was cut
EMPTY: Final = "—"  # stands where a far end insists on a text and there is none

_BREAKS: Final = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Controls, half characters, the byte order mark, and what turns the direction of all that follows.
_UNFIT: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u202a-\u202e\u2066-\u2069]")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Mn", "Zl", "Zp", "Zs"})

_MARKUP: Final = r"""
    ^[^\S\n]* (?: [#>]+ | [-+](?=[\s\#]|$) | [0-9]+\.(?=\s|$) )   # headings, quotes, lists, at the start of a line
    | [\\*`]+
    | ~~+ | \|\|+
    | (?<![0-9A-Za-z])_+ | _+(?![0-9A-Za-z])
    | <(?![\s0-9=]|$)                                             # mentions, times, emoji, commands
"""
_ADDRESS: Final = r"https?://[0-9A-Za-z/.%&=?+,;:@!$~_-]+"  # only what is certain to be within Discord's idea of one
_ESCAPED: Final = re.compile(_MARKUP, re.VERBOSE | re.MULTILINE)
_ESCAPED_OR_ADDRESS: Final = re.compile(f"(?P<address>{_ADDRESS}) | {_MARKUP}", re.VERBOSE | re.MULTILINE)
_BRACKETS: Final = re.compile(r"[][]")
_SYMBOL: Final = re.compile(r"[^0-9A-Za-z\s]")
_CALL: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)


def clean(text: str) -> str:
    """`text` without what no reader can see but many are hurt by; line breaks and tabs stay."""
    return _UNFIT.sub("", _BREAKS.sub("\n", text)).strip()


def one_line(text: str) -> str:
    """`text` clean, and on one line."""
    parts = map(str.strip, re.split(r"[\n\t]+", clean(text)))
    return " ".join(part for part in parts if part)


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing."""
    return all(unicodedata.category(letter) in _INVISIBLE or letter.isspace() for letter in text)


def escape(text: str, *, links: bool = False) -> str:
    """Clean `text` so written that Discord shows it as it is. `links`: it stands where Discord makes links of addresses."""
    escaped = (_ESCAPED_OR_ADDRESS if links else _ESCAPED).sub(_pair, text)
    if "](" in text:  # the only use of brackets is a link that hides where it leads
        escaped = _BRACKETS.sub(r"\\\g<0>", escaped)
    return silent(escaped)


def silent(text: str) -> str:
    """`text` that calls neither everyone nor here: a space of no width stands between."""
    return _CALL.sub("@\u200b", text)


def shown(text: str, most: int, *, links: bool = False) -> str:
    """Clean `text` escaped and cut to `most`; a placeholder when a reader would see nothing."""
    # Escaping never shortens, so what lies beyond could not show: a long text costs no more than a short one.
    head = text[: most + 1]
    return cut(EMPTY if is_blank(head) else escape(head, links=links), most)


def cut(text: str, most: int) -> str:
    """`text` in at most `most` code points, marked where it was cut, never within an escape. `most` is at least 1."""
    if len(text) <= most:
        return text
    # An underscore that loses what followed it could close an emphasis.
    head = text[: most - 1].rstrip("_ \t\n")
    if (len(head) - len(head.rstrip("\\"))) % 2:
        head = head[:-1].rstrip()
    return head + MARK


def _pair(match: re.Match[str]) -> str:
    if match.lastgroup == "address":
        return match.group()
    return _SYMBOL.sub(_escaped, match.group())


def _escaped(symbol: re.Match[str]) -> str:
    return f"\\{symbol.group()}"  # a template would be expanded anew for each symbol, which takes five times as long
