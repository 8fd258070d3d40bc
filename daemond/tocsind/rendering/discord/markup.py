"""Clean text, made safe to show on Discord: escaped, then cut.

Escaping happens only where Discord would do something: `BUY BTC-USDT (4h) | 93 %` goes out as it is, and `ma_unified` too, because an
underscore between letters or digits opens and closes nothing as long as every other one is escaped. A backslash before anything but a
letter, a digit or white space is what Discord removes, so a text of pairs is read as it was written, and what is cut is cut
between pairs.

Addresses stay as they are: Discord's client looks for them before it looks for escapes, in titles and names of fields too, so a backslash
inside would be shown, and followed. Its own rule decides what is one: all that follows `https://` up to white space or `<`, without closing
punctuation. `<https://...>` is one as well. A backslash right behind one would be taken for its last letter. So a `<` there stays bare
where it means nothing (`</loc>`), and where it would mean something a thin space stands before it.
"""

from __future__ import annotations

import re
from typing import Final

from tocsind.rendering.text import EMPTY, MARK, ends_in_what_counts, is_blank

FENCE: Final = "```"  # begins and ends a code block; escaped text never contains it
_THIN: Final = "\u200a"  # white space for Discord, hardly any for a reader

_MARKUP: Final = r"""
    ^[^\S\n]* (?: [#>]+ | [-+](?=[\s\#]|$) | [0-9]+\.(?=\s|$) )   # headings, quotes, lists, at the start of a line
    | [\\*`]+
    | ~~+ | \|\|+
    | <(?=[^:\ >]+:/[^\ >]+>) | <(?![\s=]|[0-9]+(?:[\s.,;:%]|$)|$) # mentions, times, emoji, commands, addresses
    | :(?=[^\s:]+:)                                                # emoji by name, see `_is_name`
    | (?i:@(?=everyone|here))
"""
_LINKED: Final = r"""
    (?P<link> <https?://[^\s<>]+>)
    | (?P<address> (?:https?|steam):// [^\s<]+ [^\s<.,:;"'\]])
    | (?P<stub> (?:https?|steam)://)  # too short for one, until a backslash would follow
"""


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.VERBOSE | re.MULTILINE)


_UNDERSCORES: Final = "(?<![0-9A-Za-z])_+ | _+(?![0-9A-Za-z])"
_MASK: Final = r"\["  # a link that hides where it leads is the only use of brackets
_ESCAPED: Final = {
    (False, False): _pattern(_LINKED, _MARKUP, _UNDERSCORES),
    (False, True): _pattern(_LINKED, _MARKUP, _UNDERSCORES, _MASK),
    (True, False): _pattern(_LINKED, _MARKUP, "_+"),  # one in an address could close what one in a word has opened
    (True, True): _pattern(_LINKED, _MARKUP, "_+", _MASK),
}
_LINKS: Final = _pattern(_LINKED)
_UNDERSCORED: Final = re.compile("(?:https?|steam)://[^\\s<]*_")
_CLOSING: Final = ".,:;\"']"  # what Discord leaves out of an address at its end
_MEANT: Final = re.compile(r"<(?:[@#:+]|a:|t:|id:|sound:|tel:|sms:|/[^>]*:[0-9]|[^\s<>@]+@|[^: >]+:/)")
_NEAR: Final = 200  # code points of a line that a block may lose to begin with a whole one
_SYMBOL: Final = re.compile(r"[^0-9A-Za-z\s]")
_CALL: Final = re.compile(r"@(?=everyone|here)", re.IGNORECASE)


def escape(text: str) -> str:
    """Clean `text` so written that Discord shows it as it is."""
    return _escaped(text, _ESCAPED[_UNDERSCORED.search(text) is not None, "](" in text])


def _escaped(text: str, pattern: re.Pattern[str]) -> str:
    parts: list[str] = []
    place, glued = 0, -1  # glued: a backslash up to this place would become part of an address
    for match in pattern.finditer(text):
        start, end = match.span()
        parts.append(text[place:start])
        if match.lastgroup:
            parts.append(match.group())
            glued = -1 if match.lastgroup == "link" else _behind(text, end, more=match.lastgroup == "stub")
        else:
            parts.append(_inert(match, glued=start <= glued))
        place = end
    return "".join((*parts, text[place:]))


def _behind(text: str, end: int, *, more: bool = False) -> int:
    """The place behind the closing punctuation of an address that ends at `end`; `more`: and one letter of any kind, and its own."""
    while end < len(text) and text[end] in _CLOSING:
        end += 1
    return _behind(text, end + 1) if more and end < len(text) and not text[end].isspace() and text[end] != "<" else end


def bracketed(text: str) -> str:
    """Escaped `text` with its addresses in angle brackets: Discord makes no preview of those."""
    return _LINKS.sub(lambda match: f"<{match.group()}>" if match.lastgroup == "address" else match.group(), text)


def silent(text: str) -> str:
    """`text` that calls neither everyone nor here: a space of no width stands between."""
    return _CALL.sub("@\u200b", text)


def shown(text: str, most: int) -> str:
    """Clean `text` escaped and cut to `most`; a placeholder when a reader would see nothing."""
    # Escaping never shortens, so what lies beyond could not show: a long text costs no more than a short one.
    part = MARK + text[-most:] if ends_in_what_counts(text) and len(text) > most else text[: most + 1]
    return cut(EMPTY if is_blank(part) else escape(part), most)


def cut(text: str, most: int) -> str:
    """`text` in at most `most` code points, marked where it was cut, never within an escape. `most` is at least 1."""
    if len(text) <= most:
        return text
    if text.startswith(f"{FENCE}\n") and text.endswith(f"\n{FENCE}"):
        return _shorter_block(text, most)
    return _without_head(text, most) if ends_in_what_counts(text) else _without_end(text, most)


def _shorter_block(text: str, most: int) -> str:
    """The end of a code block, from the start of a line if one is near; without its fences where they do not fit."""
    room = most - 2 * len(FENCE) - 4
    if room < 1:
        return MARK
    end = text[-room - len(FENCE) - 1 :]
    line = end.find("\n", 0, _NEAR)
    return f"{FENCE}\n{MARK}\n{end[line + 1 :] if 0 <= line < room else end}"


def _without_end(text: str, most: int) -> str:
    # An underscore that loses what followed it could close an emphasis.
    head = text[: most - 1].rstrip("_ \t\n")
    if _backslashes(head) % 2:
        head = head[:-1].rstrip()
    return head + MARK


def _without_head(text: str, most: int) -> str:
    start = len(text) - most + 1
    for match in _LINKS.finditer(text):
        end = _behind(text, match.end())
        if match.start() < start < end:  # what is left of an address is none, nor shall it hold another
            start = max(start, text.rfind("://", start, end) + 3)
            rest = _escaped(text[start:end], _ESCAPED[True, True]) + text[end:]
            return _without_head(rest, most) if len(rest) >= most else MARK + rest.lstrip("_ \t\n")
        if end > start:
            break
    start += _backslashes(text[:start]) % 2  # the other half of a pair
    # An underscore that loses what stood before it could open an emphasis; what stands at the start of a line now did not before.
    return MARK + text[start:].lstrip("_ \t\n")


def _backslashes(text: str) -> int:
    """How many of them end the text."""
    return len(text) - len(text.rstrip("\\"))


def _is_name(word: str) -> bool:
    """Whether an emoji may be called so: not what stands between the colons of a time."""
    return word in {"100", "1234", "+1", "-1"} or any(letter.isalpha() for letter in word)


def _inert(match: re.Match[str], *, glued: bool) -> str:
    """Markup that does nothing."""
    found, text, end = match.group(), match.string, match.end()
    if found == "@":
        return "@\u200b"
    if found == ":" and not _is_name(text[end : text.index(":", end)]):
        return found
    if glued and found == "<" and not _MEANT.match(text, match.start()):
        return found
    return (_THIN if glued else "") + _SYMBOL.sub(_backslashed, found)


def _backslashed(symbol: re.Match[str]) -> str:
    return f"\\{symbol.group()}"  # a template would be expanded again for each symbol, which takes five times as long
