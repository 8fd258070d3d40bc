"""Text that others wrote, made safe to show: cleaned, escaped, cut, in this order.

Escaping happens only where Discord would do something: `BUY BTC-USDT (4h) | 93 %` goes out as it is, and `ma_unified` too, because an
underscore between letters or digits opens and closes nothing as long as every other one is escaped. A backslash before anything but a
letter, a digit or white space is what Discord removes, so a text of pairs is read as it was written, and what is cut is cut
between pairs. Addresses stay as they are where Discord makes links of them: it takes them before it looks for escapes, so a backslash
inside would be shown, and followed. What is an address is decided by its client's own rule: whatever follows `https://` up to a space or
`<`, without closing punctuation; a bracket at the end belongs to it when it was opened inside. `<https://...>` is one, too.

A text that begins with MARK was cut at its head, because its end is what counts; whatever is cut of it here is cut there, too.
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
    | :(?=(?:100|1234|[+-]1|[0-9_+~-]*[A-Za-z][0-9A-Za-z_+~-]*):) # emoji by name
"""
_ADDRESS: Final = r"""<https?://[^\s<>]+>|https?://[^\s<]+[^\s<.,:;"'\]]"""
_BRACKETS: Final = r"[\[\]]"


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.VERBOSE | re.MULTILINE)


_LINKED: Final = f"(?P<address>{_ADDRESS})"
# By whether addresses are links, and whether there may be a link that hides where it leads, the only use of brackets.
_ESCAPED: Final = {
    (False, False): _pattern(_MARKUP),
    (False, True): _pattern(_MARKUP, _BRACKETS),
    (True, False): _pattern(_LINKED, _MARKUP),
    (True, True): _pattern(_LINKED, _MARKUP, _BRACKETS),
}
_BLANK_LINES: Final = re.compile(r"\n(?:[^\S\n]*\n){2,}")
_SYMBOL: Final = re.compile(r"[^0-9A-Za-z\s]")
_CALL: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)


def clean(text: str) -> str:
    """`text` without what no reader can see but many are hurt by; line breaks and tabs stay, of blank lines one after another one."""
    return _BLANK_LINES.sub("\n\n", _UNFIT.sub("", _BREAKS.sub("\n", text))).strip()


def one_line(text: str) -> str:
    """`text` clean, and on one line."""
    parts = map(str.strip, re.split(r"[\n\t]+", clean(text)))
    return " ".join(part for part in parts if part)


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing."""
    return all(unicodedata.category(letter) in _INVISIBLE or letter.isspace() for letter in text)


def escape(text: str, *, links: bool = False) -> str:
    """Clean `text` so written that Discord shows it as it is. `links`: it stands where Discord makes links of addresses."""
    return silent(_escaped(text, _ESCAPED[links, "](" in text]))


def silent(text: str) -> str:
    """`text` that calls neither everyone nor here: a space of no width stands between."""
    return _CALL.sub("@\u200b", text)


def shown(text: str, most: int, *, links: bool = False) -> str:
    """Clean `text` escaped and cut to `most`; a placeholder when a reader would see nothing."""
    # Escaping never shortens, so what lies beyond could not show: a long text costs no more than a short one.
    part = MARK + text[-most:] if text.startswith(MARK) and len(text) > most else text[: most + 1]
    return cut(EMPTY if is_blank(part) else escape(part, links=links), most)


def cut(text: str, most: int) -> str:
    """`text` in at most `most` code points, marked where it was cut, never within an escape. `most` is at least 1."""
    if len(text) <= most:
        return text
    return _without_head(text, most) if text.startswith(MARK) else _without_end(text, most)


def _without_end(text: str, most: int) -> str:
    # An underscore that loses what followed it could close an emphasis.
    head = text[: most - 1].rstrip("_ \t\n")
    if _backslashes(head) % 2:
        head = head[:-1].rstrip()
    return head + MARK


def _without_head(text: str, most: int) -> str:
    start = len(text) - most + 1
    start += _backslashes(text[:start]) % 2  # the other half of a pair
    # An underscore that loses what stood before it could open an emphasis; what stands at the start of a line now did not before.
    return MARK + text[start:].lstrip("_ \t\n")


def _backslashes(text: str) -> int:
    """How many of them end the text."""
    return len(text) - len(text.rstrip("\\"))


def _escaped(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(_pair, text)


def _pair(match: re.Match[str]) -> str:
    found = match.group()
    if match.lastgroup != "address":
        return _SYMBOL.sub(_backslashed, found)
    address = _address(found)
    rest = found[len(address) :]
    return address + (_escaped(rest, _ESCAPED[False, True]) if rest else "")


def _address(found: str) -> str:
    """Without the brackets at its end that were not opened in it."""
    while found.endswith(")") and found.count(")") > found.count("("):
        found = found[:-1]
    return found


def _backslashed(symbol: re.Match[str]) -> str:
    return f"\\{symbol.group()}"  # a template would be expanded anew for each symbol, which takes five times as long
