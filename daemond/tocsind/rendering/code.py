"""Output of programs in a Discord code block. Nothing in a block is markup, and nothing in it can end it.

The end of the output is kept when it is too long, because errors are there. A line that a program overwrote with carriage returns (a
progress bar) shows its last state, as a terminal does.
"""

from __future__ import annotations

import re
from typing import Final

from .text import FENCE, MARK, cleaned, cut, is_blank

_OVERWRITTEN: Final = re.compile(r"^[^\n]*\r(?=[^\r\n])", re.MULTILINE)
_BACKTICKS: Final = re.compile("``(?=`)")
_EDGES: Final = re.compile(r"\A(?:[^\S\n]*\n)+|\s+\Z")


def code_block(output: str, most: int) -> str:
    """`output` as a code block of at most `most` code points; empty when a reader would see nothing."""
    text = _EDGES.sub("", cleaned(_OVERWRITTEN.sub("", output)))
    if is_blank(text) or text == MARK:
        return ""
    text = _BACKTICKS.sub("``\u200b", text)
    return cut(f"{FENCE}\n{text}\n{FENCE}", most)
