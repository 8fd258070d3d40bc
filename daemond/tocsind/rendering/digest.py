"""Many deliveries as one signal: how many of what, from when to when, and between which prices.

A reader of a digest wants to know what he missed and how much of it, so what is alike is one line. The worst comes first: the highest
priority, then the most frequent; stories that have ended come last. Alike is what has the same key; without one the same strategy, symbol
and action; without those the same title. Nothing is left out of the counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery
from tocsind.policy.story import ends_story

from .numbers import iso, number
from .text import EMPTY, MARK, fitted, is_blank, one_line

MOST_KEYS: Final = 24  # one field of an embed's 25 counts the rest
_LABEL: Final = 80
_NO_TIME: Final = "????-??-??T??:??"


def digest(deliveries: Sequence[Delivery], priority: str) -> dict[str, Any]:
    """The fields of the digest of these deliveries, at least one; `priority` is the digest's own label."""
    first, last = _ends(deliveries)
    dated = first[:10] != last[:10]
    alike = _alike(deliveries)
    return {
        "title": f"{len(deliveries):,} signals in one digest ({priority})",
        "body": f"{_span(first, last, dated=True)}: too many to post one by one."
        f"{_doubt(deliveries)}{_unseen(deliveries)}",
        "priority": priority,
        "source": "tocsin",
        "fields": {label: _line(some, dated=dated) for label, some in alike[:MOST_KEYS]} | _rest(alike[MOST_KEYS:]),
    }


def _alike(deliveries: Sequence[Delivery]) -> list[tuple[str, list[Delivery]]]:
    """The worst first, else in the order in which they came."""
    kinds: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        kinds.setdefault(_kind(delivery.signal), []).append(delivery)
    found: dict[str, list[Delivery]] = {}
    for kind, some in kinds.items():
        found.setdefault(_label(kind), []).extend(some)  # what reads the same is the same
    return sorted(found.items(), key=lambda item: _order(item[1]))


def _order(alike: Sequence[Delivery]) -> tuple[bool, int, int]:
    """Sorts the worst first."""
    return ends_story(_last(alike).signal), min(delivery.priority for delivery in alike), -len(alike)


def _last(alike: Sequence[Delivery]) -> Delivery:
    return max(alike, key=lambda delivery: delivery.order)


def _kind(signal: Signal) -> str:
    named = " ".join(filter(None, (signal.strategy, signal.symbol, signal.action)))
    return next((text for text in (signal.key, named, signal.title) if text and not is_blank(text)), EMPTY)


def _label(kind: str) -> str:
    label = fitted(one_line(kind), _LABEL)
    return f"{EMPTY} {label}" if label.startswith(MARK) else label  # the mark is for the rest


def _line(deliveries: Sequence[Delivery], *, dated: bool) -> str:
    prices = [delivery.signal.price for delivery in deliveries if delivery.signal.price is not None]
    parts = [f"{len(deliveries):,} x", _span(*_ends(deliveries), dated=dated)]
    if prices:
        low, high = number(min(prices)), number(max(prices))
        parts.append(f"price {low}" if low == high else f"price {low} to {high}")
    last = _last(deliveries).signal
    if last.key and any(delivery.signal.title != last.title for delivery in deliveries):
        parts.append(f"last: {fitted(one_line(last.title), _LABEL)}")
    return ", ".join(parts)


def _rest(alike: Sequence[tuple[str, Sequence[Delivery]]]) -> dict[str, str]:
    count = sum(len(some) for _, some in alike)
    return {f"{MARK} and {len(alike):,} more": f"{count:,} x"} if count else {}


def _doubt(deliveries: Sequence[Delivery]) -> str:
    count = sum(delivery.maybe_duplicate for delivery in deliveries)
    return f" Possible duplicates: {count:,}." if count else ""


def _unseen(deliveries: Sequence[Delivery]) -> str:
    count = sum(delivery.signal.has_file for delivery in deliveries)
    return f" Attachments that are not shown: {count:,}." if count else ""


def _ends(deliveries: Sequence[Delivery]) -> tuple[str, str]:
    """When the first and the last were accepted."""
    times = [delivery.accepted for delivery in deliveries]
    return iso(min(times)) or _NO_TIME, iso(max(times)) or _NO_TIME


def _span(first: str, last: str, *, dated: bool) -> str:
    """Two ISO times as people say it; with `dated`, the date once, or twice where it differs."""
    low = f"{first[:10]} {first[11:16]}" if dated else first[11:16]
    high = f"{last[:10]} {last[11:16]}" if dated and last[:10] != first[:10] else last[11:16]
    return f"{low} UTC" if first[:16] == last[:16] else f"{low} to {high} UTC"
