"""The end of a long text, which is what counts of a program's output and of a traceback: the error stands there.

A text that begins with MARK says that its end counts: whatever has to be cut of it again, because a message escapes its letters or has less
room, is cut at its head.
"""

from __future__ import annotations

MARK = "…"
MOST = 4096  # characters of a body
_ESCAPED = "\\*`~|_#>+-<[:@"  # what takes two characters in a message, at most


def tail(text: str, most: int = MOST) -> str:
    """As much of the end of `text` as a body holds, marked where it was cut, or where a message may have to cut it."""
    if len(text) > most:
        return MARK + text[1 - most :]
    if len(text) + sum(map(text.count, _ESCAPED)) > most - 2 and not text.startswith(MARK):
        return f"{MARK}\n{text[2 - most :]}"
    return text
