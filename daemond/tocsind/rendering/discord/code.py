"""Output of programs in a Discord code block. Nothing in a block is markup, and nothing in it can end it.

The end of the output is kept when it is too long, because errors are there.
"""

from __future__ import annotations

import re
from typing import Final

from .markup import FENCE, cut

_BACKTICKS: Final = re.compile("``(?=`)")


def code_block(output: str, most: int) -> str:
    """Clean `output` as a code block of at most `most` code points; empty when there is none."""
    text = _BACKTICKS.sub("``\u200b", output)
    return cut(f"{FENCE}\n{text}\n{FENCE}", most) if text else ""
