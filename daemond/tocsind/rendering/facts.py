"""What a card says beside title and body: facts and fields, lateness, time, and the parts of the footer. All of it clean text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tocsin.durations import format_duration
from tocsin.ids import milliseconds_of
from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority

from .numbers import iso, number, percent
from .text import clean, fitted, is_blank, one_line
from .trade import Trade

LATE: Final = 60.0  # seconds; pacing in a busy channel stays below it
_OLDEST_ID: Final = 30 * 86_400.0
_LONGEST_AGE: Final = 9  # longer than this an age is cut
LATE_ROOM: Final = len(" ·  late") + _LONGEST_AGE  # code points that a title may grow by until it is sent
_AS_OF: Final = "as of {} UTC"
LINE_ROOM: Final = LATE_ROOM + len(" · ") + len(_AS_OF.format("2026-01-31 02:13"))  # the same for a push line
_FOOTER_PART: Final = 60  # code points; a footer is for the id, and leaves room in a full batch

MOST_NUMBERS: Final = 3  # in a push line
_SHORT_NUMBER: Final = 20  # code points of a field's value that is a number with its unit
_NUMERIC: Final = re.compile(r"[^\w\s]{0,2}[0-9]")
_IN_TITLES: Final = frozenset({"Action", "Symbol", "Strategy"})  # left out where the title says them
LEAD_WORDS: Final = ("Action", "Symbol")
_FIELDS_IN_TITLES: Final = frozenset({"duration", "host"})  # the same for fields: `failed after 12m34s`
_ENDINGS: Final = ("s", "d", "ed", "ing")
_BARE: Final = frozenset({"Price"})
# What a reader of one line wants to know first: how a trade ended, then where it is entered and left.
_NUMBERS: Final = ("Profit", "Loss", "Result", "Exit", "Entry", "Stop", "Target", "Price", "Confidence")

Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. `inline`: it may stand beside others whatever its length. `leads`: it stands in the push line. `bare`: its value says what
    it is.
    """

    name: str
    value: str
    inline: bool = False
    leads: bool = False
    bare: bool = False


def facts_of(signal: Signal, trade: Trade | None) -> Iterator[Fact]:
    """What tocsin knows of the signal, and the title does not say."""
    named = {
        "Action": signal.action,
        "Symbol": signal.symbol,
        **({"Price": _price(signal.price)} if trade is None else dict(trade.facts())),
        "Confidence": None if signal.confidence is None else percent(signal.confidence),
        "Strategy": signal.strategy,
    }
    facts = {name: clean(value) for name, value in named.items() if value}
    said = _words(signal.title)
    for name, value in facts.items():
        if not is_blank(value) and not (name in _IN_TITLES and (_is_said(value, said) or _is_inflected(value, said))):
            yield Fact(name, value, inline=True, bare=name in _BARE)


def fields_of(signal: Signal, trade: Trade | None) -> Iterator[Fact]:
    """The signal's own fields, without those that the trade or the title shows (`failed with exit code 2` shows `exit code`)."""
    shown_by_trade = trade.read if trade else frozenset[str]()
    said = _words(signal.title)
    for name, value in (signal.fields or {}).items():
        text = as_text(value)
        what = text if name in _FIELDS_IN_TITLES else f"{name} {text}"
        if name not in shown_by_trade and not _is_said(what, said):
            yield Fact(one_line(name), text)


def with_leads(title: str, facts: Sequence[Fact], fields: Sequence[Fact]) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """The same, with those marked that lead: action and symbol, and the few numbers that matter most and that the title does not say."""
    ranked = sorted((fact for fact in facts if fact.name in _NUMBERS), key=lambda fact: _NUMBERS.index(fact.name))
    said = _words(title)
    numbers = [*ranked, *(fact for fact in fields if _is_number(fact.value) and not _is_said(fact.value, said))]
    leads = {id(fact) for fact in [*(fact for fact in facts if fact.name in LEAD_WORDS), *numbers[:MOST_NUMBERS]]}
    marked = [replace(fact, leads=id(fact) in leads) for fact in [*facts, *fields]]
    return tuple(marked[: len(facts)]), tuple(marked[len(facts) :])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("_", " "))


def _is_said(value: str, words: Sequence[str]) -> bool:
    """Whether `words` have all words of `value`, in this order: `BTC/USDT` is said by `btc usdt`, and by `BTCUSDT`."""
    own = _words(value)
    whole = any(words[place : place + len(own)] == own for place in range(len(words) - len(own) + 1))
    return bool(own) and (whole or "".join(own) in words)


def _is_inflected(value: str, words: Sequence[str]) -> bool:
    """Whether a form of the word is among `words`: CLOSE is said by `closed`."""
    stem = value.lower()
    return not {f"{stem}{ending}" for ending in _ENDINGS}.isdisjoint(words)


def _is_number(value: str) -> bool:
    return len(value) <= _SHORT_NUMBER and _NUMERIC.match(value) is not None


def _price(price: float | None) -> str | None:
    return None if price is None else number(price)


def lateness(delivery: Delivery) -> float | None:
    """Seconds from raising to this attempt, when that is late: more than a minute, or half of `expires`. None: not late, or not claimed.
    What was held counts from its release: it is meant to come later.
    """
    if delivery.tried is None:
        return None
    due = raised_at(delivery) if delivery.released is None else delivery.released - delivery.skew
    age = delivery.tried - due
    most = LATE if delivery.signal.expires is None else min(LATE, delivery.signal.expires / 2)
    return age if age > most else None


def raised_at(delivery: Delivery) -> float:
    """When the program raised the signal, by its id, which is made then. An invented id may hold any time; then the acceptance counts.
    The signal's `timestamp` is not used: it may be the time of a price bar.
    """
    made = milliseconds_of(delivery.id) / 1000
    return made if delivery.accepted - _OLDEST_ID < made < delivery.accepted else delivery.accepted


def as_of(delivery: Delivery) -> str:
    """When the numbers of an alert were true, for one that comes late or again: `as of 02:13 UTC`, with the date on another day."""
    raised = iso(raised_at(delivery))
    if raised is None or (delivery.repeats == 0 and lateness(delivery) is None):
        return ""
    now = iso(delivery.tried or delivery.released or delivery.accepted) or ""
    return _AS_OF.format(raised[11:16] if raised[:10] == now[:10] else f"{raised[:10]} {raised[11:16]}")


def age_of(seconds: float) -> str:
    """The two largest units of a duration."""
    unit = next((size for size in (86400, 3600, 60) if seconds >= size), 1)
    part = {86400: 3600, 3600: 60}.get(unit, unit)
    return format_duration(seconds // part * part)[:_LONGEST_AGE]


def as_text(value: Value) -> str:
    """A value as clean text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value, grouped=False)  # no grouping: it may be a year, or an order number
    return clean(value or "")


def shown_time(delivery: Delivery) -> float:
    """`timestamp`, else the time of acceptance; Unix seconds that a calendar can show."""
    given = delivery.signal.timestamp
    return delivery.accepted if given is None or iso(given) is None else given


def valid_until(delivery: Delivery) -> float | None:
    """When it expires, in Unix seconds; None where it does not."""
    if delivery.deadline is not None:
        return delivery.deadline - delivery.skew
    return None if delivery.signal.expires is None else delivery.accepted + delivery.signal.expires


def footer_parts(delivery: Delivery) -> Iterator[str]:
    """Where a message comes from, each part short: its priority unless that is normal, its tier, source and host, tags."""
    signal = delivery.signal
    unread = signal.timestamp_text
    if signal.timestamp is not None and iso(signal.timestamp) is None:
        unread = number(signal.timestamp)
    if delivery.priority is not Priority.NORMAL:
        yield delivery.priority.label
    yield from short(signal.tier)
    yield from short(" on ".join(filter(None, (signal.source, signal.host))))
    yield from short(" ".join(f"#{tag}" for tag in signal.tags or ()))
    yield from (f"time given as: {part}" for part in short(unread))


def short(text: str | None) -> Iterable[str]:
    """`text` as a part of a footer; none where a reader would see nothing."""
    line = one_line(text or "")
    return () if is_blank(line) else (fitted(line, _FOOTER_PART, at_head=False),)
