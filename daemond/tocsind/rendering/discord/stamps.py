"""Times as Discord's own timestamps: each reader sees them in his zone. They work in content, descriptions and fields, not in footers."""

from __future__ import annotations

from tocsind.rendering.numbers import iso


def relative(at: float) -> str:
    """The time of day and how far off it is: `12:00:00 (in 5 minutes)`. Empty for a time that no calendar shows."""
    return "" if iso(at) is None else f"<t:{int(at)}:T> (<t:{int(at)}:R>)"


def full(at: float) -> str:
    """Date and time."""
    return "" if iso(at) is None else f"<t:{int(at)}:f>"


def beside(at: float, other: float) -> str:
    """The time of day; with its date, when that is not the date (in UTC) of `other`."""
    then, now = iso(at) or "", iso(other) or ""
    return then and (f"<t:{int(at)}:T>" if then[:10] == now[:10] else full(at))
