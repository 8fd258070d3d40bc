"""Exponential backoff with equal jitter: the wait is drawn evenly from half of a ceiling up to it; the ceiling doubles with each attempt.

A host has one sender for each channel, so few retries meet, and half a ceiling spreads them enough
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A wait near zero would ask a server again that has just failed,
and would make little of `first = "1h"`. The caller passes the random number, so that policy stays a function of its arguments.
"""

from __future__ import annotations

import msgspec


class Retry(msgspec.Struct, frozen=True):
    """Retry settings of a lane, in seconds: first and longest ceiling, and the age at which a failing delivery is given up."""

    first: float = 1.0
    most: float = 60.0
    give_up: float = 6 * 3600.0


def ceiling(retry: Retry, attempts: int) -> float:
    """The longest wait after `attempts` attempts, in seconds."""
    doublings = min(max(attempts - 1, 0), 60)  # 2**60 first waits exceed any `most`; more would overflow a float
    return min(retry.most, retry.first * 2.0**doublings)


def backoff(retry: Retry, attempts: int, jitter: float) -> float:
    """Seconds to wait after `attempts` attempts. `jitter` is drawn evenly from [0, 1)."""
    return ceiling(retry, attempts) * (0.5 + jitter / 2)
