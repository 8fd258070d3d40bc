"""The order of signals: the highest confidence first, among equals the latest first. It is total: only numbers and bools are compared."""

from __future__ import annotations

Rank = tuple[bool, float, bool, float]


def rank(confidence: float | None, seconds: float | None) -> Rank:
    """A sort key, (-confidence, -timestamp); unknown values come last."""
    return (confidence is None, -(confidence or 0.0), seconds is None, -(seconds or 0.0))
