"""The order of signals: the surest first, among equals the latest first. Total, since only numbers and their absence are compared."""

from __future__ import annotations

Rank = tuple[bool, float, bool, float]


def rank(confidence: float | None, seconds: float | None) -> Rank:
    """A key to sort by, like (-confidence, -timestamp); what is not known comes behind all that is."""
    return (confidence is None, -(confidence or 0.0), seconds is None, -(seconds or 0.0))
