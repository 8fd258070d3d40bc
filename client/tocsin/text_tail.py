"""Cuts a long text at its beginning: the error of a program's output, or of a traceback, is at its end.

A text that begins with MARK is cut at its beginning again where a message has less room for it, or has to escape its characters.
"""

from __future__ import annotations

MARK = "…"
MOST = 4096  # characters of a body
_ESCAPED = "\\*`~|_#>+-<[:@"  # characters that may take two characters in a message


def tail(text: str, most: int = MOST) -> str:
    """The last `most` characters of `text`, marked if it was cut, or if a message may have to cut it."""
    if len(text) > most:
        return MARK + text[1 - most :]
    if len(text) + sum(map(text.count, _ESCAPED)) > most - 2 and not text.startswith(MARK):
        return f"{MARK}\n{text[2 - most :]}"
    return text
