"""What Discord's client makes of a text, by the rules of its own parser (simple-markdown, with Discord's additions).

`read` gives what a reader sees, the addresses that are links, and the markup that was done. Only that is here which text without intended
markup may run into; what nests is not, since the first markup that is done is a failure already.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = r"0-9A-Za-z"
_ESCAPE = re.compile(rf"\\([^{_WORD}\s])")
_AUTOLINK = re.compile(r"<([^: >]+:/[^ >]+)>")
_ADDRESS = re.compile(r"""(?:https?|steam)://[^\s<]+[^<.,:;"'\]\s]""")
_EMOJI = re.compile(r":([^\s:]+?(?:::skin-tone-\d)?):")
_MARKUP = {
    "heading": re.compile(r"(?:(?<=\n)|\A)[^\S\n]*(?:-#|#{1,3})[^\S\n]+[^\s#]"),
    "quote": re.compile(r"(?:(?<=\n)|\A) *>(?:>>)? "),
    "list": re.compile(r"(?:(?<=\n)|\A) *(?:[*-]|[0-9]+\.) +\S"),
    "strong": re.compile(r"\*\*[\s\S]+?\*\*(?!\*)"),
    "underline": re.compile(r"__(?:\\[\s\S]|[^\\])+?__(?!_)"),
    "em": re.compile(r"_(?:__|\\[\s\S]|[^\\_])+?_(?![0-9A-Za-z_])|\*(?=\S)(?:\*\*|\\[\s\S]|\s+(?:[^*\s\\]|\*\*)|[^\s*\\])+?\*(?!\*)"),
    "strike": re.compile(r"~~[\s\S]+?~~"),
    "spoiler": re.compile(r"\|\|[\s\S]+?\|\|"),
    "code": re.compile(r"(`+)[\s\S]*?[^`]\1(?!`)"),
    "masked link": re.compile(r"\[[^\]]*\]\("),
    "mention": re.compile(r"<(?:@[!&]?|#)\d+>|@(?:everyone|here)|<id:\w+>|<t:-?\d+(?::[tTdDfFR])?>|<a?:\w+:\d+>|</[^>:]+:\d+>"),
    "mail": re.compile(r"<[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+>|<(?:(?:tel|sms):\+?|\+)[\d(][^>]*>"),
}  # fmt: skip


class Read(NamedTuple):
    """What a reader sees."""

    text: str
    links: list[str]
    markup: list[str]


def read(text: str) -> Read:
    """The text as the client shows it."""
    seen: list[str] = []
    links: list[str] = []
    markup: list[str] = []
    place = 0
    while place < len(text):
        if pair := _ESCAPE.match(text, place):
            seen.append(pair[1])
            place = pair.end()
        elif link := _AUTOLINK.match(text, place):
            seen.append(link[1])
            links.append(link[1])
            place = link.end()
        elif address := _ADDRESS.match(text, place):
            found = _balanced(address.group())
            seen.append(found)
            links.append(found)
            place += len(found)
        else:
            markup += [
                f"{name}: {text[place : place + 30]!r}" for name, rule in _MARKUP.items() if rule.match(text, place)
            ]
            if (emoji := _EMOJI.match(text, place)) and is_emoji(emoji[1]):
                markup.append(f"emoji: {emoji[1]}")
            seen.append(text[place])
            place += 1
    return Read("".join(seen), links, markup)


def is_emoji(name: str) -> bool:
    """Whether an emoji may be called so; the client has a list of some thousands."""
    if name in {"100", "1234", "+1", "-1"}:
        return True
    return bool(re.fullmatch(r"[\w+~.-]+(?:::skin-tone-\d)?", name)) and any(letter.isalpha() for letter in name)


def _balanced(address: str) -> str:
    """The client looks for a bracket that opens for each at the end that closes, and takes one away where there is none."""
    opened = 0
    for place in range(len(address) - 1, -1, -1):
        if address[place] != ")":
            break
        found = address.find("(", opened)
        if found < 0:
            return address[:-1]
        opened = found + 1
    return address
