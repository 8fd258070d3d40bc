"""What is told of a signal beside its title and body, in whatever form: its facts, when it was, its link, and the footer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import punctuation
from typing import Final
from urllib.parse import quote, urlsplit

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery

from .limits import LINK
from .numbers import iso, number, percent
from .text import clean, cut, is_blank, one_line, silent

_FOOTER_PART: Final = 60  # ours: a footer is for the id, and must leave room in a full batch
_HOST: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::[0-9]{1,5})?")

Value = str | float | bool | None
Fact = tuple[str, Value, bool]  # name, value, and whether it stands beside others however long it is


def facts(signal: Signal, *, linked: bool) -> Iterator[Fact]:
    """What has a name of ours, then the signal's own fields. `linked`: a link that Discord takes is shown elsewhere."""
    named = {
        "Action": signal.action,
        "Symbol": signal.symbol,
        "Price": None if signal.price is None else number(signal.price),
        "Confidence": None if signal.confidence is None else percent(signal.confidence),
        "Strategy": signal.strategy,
        "Tier": signal.tier,
    }
    yield from ((name, value, True) for name, value in named.items() if value)
    if signal.link and not (linked and web_address(signal.link)):
        yield "Link", signal.link, False
    yield from ((name, value, False) for name, value in (signal.fields or {}).items())


def worded(value: Value) -> str:
    """A fact's value as clean text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, grouped=False)  # it may be a year, or an order's number
    return clean(value or "")


def when(delivery: Delivery) -> str | None:
    """The time that the signal gives, else that of its acceptance; ISO 8601."""
    given = delivery.signal.timestamp
    return (None if given is None else iso(given)) or iso(delivery.accepted)


def footer(delivery: Delivery) -> str:
    """What a person needs to find out more: doubt first, the id last. Not escaped: a footer is shown as it is."""
    signal = delivery.signal
    unread = signal.timestamp_text
    if signal.timestamp is not None and iso(signal.timestamp) is None:
        unread = number(signal.timestamp)
    parts = (
        "possible duplicate" if delivery.doubt else "",
        delivery.priority.label,
        _noted(signal.source),
        _noted(" ".join(f"#{tag}" for tag in signal.tags or ())),
        f"time given as: {_noted(unread)}" if unread else "",
        delivery.id,
    )
    return " · ".join(part for part in parts if part)


def _noted(text: str | None) -> str:
    line = one_line(text or "")
    return "" if is_blank(line) else cut(silent(line), _FOOTER_PART)


def web_address(link: str | None) -> str | None:
    """`link` as Discord takes one: http or https, a full host name, ASCII. None when it is no such thing."""
    if not link or len(link) > LINK:
        return None
    address = quote(link.strip(), safe=punctuation)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    well_formed = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc) and port != 0
    return address if well_formed and len(address) <= LINK else None
