"""What a message shows of a signal beside title and body: facts, lateness, time, link and footer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import punctuation
from typing import Final
from urllib.parse import quote, urlsplit

from tocsin.durations import format_duration
from tocsin.ids import milliseconds_of
from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery

from .limits import LINK, TITLE
from .numbers import bar, iso, number, percent
from .text import clean, cut, is_blank, one_line, shown, silent
from .trade import trade_of

LATE: Final = 60.0  # seconds; pacing in a busy channel stays below it
_OLDEST_ID: Final = 30 * 86_400.0
_LONGEST_AGE: Final = 9  # longer than this an age is cut
LATE_ROOM: Final = len(" ·  late") + _LONGEST_AGE  # code points that a title may grow by until it is sent
_FOOTER_PART: Final = 60  # code points; a footer is for the id, and leaves room in a full batch
_HOST: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::[0-9]{1,5})?")

Value = str | float | bool | None
Fact = tuple[str, Value, bool]  # name, value, and whether it stands beside others whatever its length


def facts(signal: Signal, *, linked: bool, drawn: bool = True, missing: str | None = None) -> Iterator[Fact]:
    """The named facts, then the signal's own fields. `linked`: the title shows the link; `drawn`: with symbols and bars; `missing`: text
    about a missing attachment.
    """
    trade = trade_of(signal)
    named = {
        "Action": f"{trade.step.value} {signal.action}" if trade and drawn else signal.action,
        "Symbol": signal.symbol,
        **({"Price": _price(signal.price)} if trade is None else dict(trade.facts())),
        "Confidence": _confidence(signal.confidence, drawn=drawn),
        "Strategy": signal.strategy,
        "Tier": signal.tier,
    }
    yield from ((name, value, True) for name, value in named.items() if value)
    if signal.link and not (linked and web_address(signal.link)):
        yield "Link", signal.link, False
    if missing:
        yield "Attachment", missing, False
    shown_by_trade = trade.read if trade else frozenset()
    yield from ((name, value, False) for name, value in (signal.fields or {}).items() if name not in shown_by_trade)


def _price(price: float | None) -> str | None:
    return None if price is None else number(price)


def _confidence(share: float | None, *, drawn: bool) -> str | None:
    if share is None:
        return None
    return f"{bar(share)} {percent(share)}" if drawn else percent(share)


def headline(delivery: Delivery) -> str:
    """The title, with the age behind it when it is late: a notification shows the title first."""
    age = lateness(delivery)
    mark = "" if age is None else f" · {_age(age)} late"
    return shown(one_line(delivery.signal.title), TITLE - len(mark)) + mark


def lateness(delivery: Delivery) -> float | None:
    """Seconds from raising to this attempt, when that is late: more than a minute, or half of `expires`. None: not late, or not claimed."""
    if delivery.tried is None:
        return None
    age = delivery.tried - raised_at(delivery)
    most = LATE if delivery.signal.expires is None else min(LATE, delivery.signal.expires / 2)
    return age if age > most else None


def raised_at(delivery: Delivery) -> float:
    """When the program raised the signal, by its id, which is made then. An invented id may hold any time; then the acceptance counts.
    The signal's `timestamp` is not used: it may be the time of a price bar.
    """
    made = milliseconds_of(delivery.id) / 1000
    return made if delivery.accepted - _OLDEST_ID < made < delivery.accepted else delivery.accepted


def _age(seconds: float) -> str:
    """The two largest units of a duration."""
    unit = next((size for size in (86400, 3600, 60) if seconds >= size), 1)
    part = {86400: 3600, 3600: 60}.get(unit, unit)
    return format_duration(seconds // part * part)[:_LONGEST_AGE]


def as_text(value: Value) -> str:
    """A fact's value as clean text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, grouped=False)  # no grouping: it may be a year, or an order number
    return clean(value or "")


def when(delivery: Delivery) -> str | None:
    """`timestamp`, else the time of acceptance; ISO 8601."""
    given = delivery.signal.timestamp
    return (None if given is None else iso(given)) or iso(delivery.accepted)


def footer(delivery: Delivery) -> str:
    """What a reader needs to find out more: a possible duplicate first, the id last. Not escaped: Discord shows a footer as it is."""
    signal = delivery.signal
    unread = signal.timestamp_text
    if signal.timestamp is not None and iso(signal.timestamp) is None:
        unread = number(signal.timestamp)
    parts = (
        "possible duplicate" if delivery.maybe_duplicate else "",
        delivery.priority.label,
        _input_notes(" on ".join(filter(None, (signal.source, signal.host)))),
        _input_notes(" ".join(f"#{tag}" for tag in signal.tags or ())),
        f"time given as: {_input_notes(unread)}" if unread else "",
        delivery.id,
    )
    return " · ".join(part for part in parts if part)


def _input_notes(text: str | None) -> str:
    line = one_line(text or "")
    return "" if is_blank(line) else cut(silent(line), _FOOTER_PART)


def web_address(link: str | None) -> str | None:
    """`link` as Discord accepts it: http or https, a full host name, ASCII; else None."""
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
