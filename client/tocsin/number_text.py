"""Numbers as people write them: `64,000.50`, `64.000,50`, `64 000`, `$5`.

The last separator precedes a fraction, unless it occurs twice, or is the only one, a comma, before three digits.
"""

from __future__ import annotations

from math import isfinite

_NOTHING = frozenset(("", "-", "nan", "nat", "none", "null", "na", "n/a", "<na>", "inf", "+inf", "-inf", "infinity"))
_CURRENCIES = "$€£¥₿ \t\n\u00a0"
_SPACES = str.maketrans(dict.fromkeys(" \u00a0\u2009\u202f\u2019", "'"))  # separators between groups of digits
_LONGEST = 64  # characters


def parse_number(text: str) -> float | None:
    """The finite number in `text`; None for an empty text or a word for a missing value. Raises ValueError for other text."""
    if len(text) > 2 * _LONGEST:
        raise ValueError("too long for a number")
    plain = text.strip(_CURRENCIES).replace("\u2212", "-")
    if plain.lower() in _NOTHING:
        return None
    if len(plain) > _LONGEST:
        raise ValueError("too long for a number")
    try:
        found = float(plain)
    except ValueError:
        found = float(_ungrouped(plain.translate(_SPACES)))
    if not isfinite(found):
        raise ValueError("too large for a number")
    return found


def _ungrouped(digits: str) -> str:
    """The digits as Python writes them. Raises ValueError."""
    sign = digits[:1] if digits[:1] in {"+", "-"} else ""
    digits = digits[len(sign) :].translate(_SPACES)
    marks = [letter for letter in digits if letter in ".,'"]
    whole, fraction = digits, "0"
    if marks and marks[-1] != "'" and marks.count(marks[-1]) == 1:
        head, _, tail = digits.rpartition(marks[-1])
        if marks != [","] or len(tail) != 3:
            whole, fraction = head, tail or "0"
    groups = whole.replace(",", "'").replace(".", "'").split("'")
    alike = len({letter for letter in whole if letter in ".,'"}) <= 1
    if not alike or (len(groups) > 1 and (len(groups[-1]) != 3 or not all(1 <= len(each) <= 3 for each in groups))):
        raise ValueError("groups of digits that no one writes")
    return f"{sign}{''.join(groups) or '0'}.{fraction}"
