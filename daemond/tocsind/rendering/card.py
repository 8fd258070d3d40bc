"""A message before it is written for a service: the parts of a Card are clean text without any markup, and without limits.

A destination's dialect makes its message from a card alone and never reads the signal: so every service shows the same, and what a message
says is decided once. `card_of` makes the card of a delivery, `card_of_update` that of a live message.

`push_line` is the one line of a notification: what happened, and the two or three numbers that matter. A message that begins with it
leaves the facts that `leads` marks, and the title, out of the rest. Where the alert comes late or again, the time of its numbers is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, LiveUpdate, Priority
from tocsind.policy.repeat import NEVER_AGAIN
from tocsind.policy.sources import DAEMON_SOURCE
from tocsind.policy.story import ENDS

from .facts import (
    LEAD_WORDS,
    Fact,
    age_of,
    as_of,
    facts_of,
    fields_of,
    footer_parts,
    lateness,
    short,
    shown_time,
    valid_until,
    with_leads,
)
from .numbers import number
from .text import TRACEBACK, clean, is_blank, one_line, output_of_program
from .trade import Trade, trade_of

DOUBT: Final = "possible duplicate"
UNACKNOWLEDGED: Final = "not acknowledged elsewhere"
UNTITLED: Final = "(no title)"
SHORT_ID: Final = 8  # letters, 40 random bits
MISSING_NOTE: Final = "it is not there any more"
REFUSED_NOTE: Final = "this is the form after a refusal"
NO_FILES_NOTE: Final = "no files are sent here"
_RECENT: Final = 128  # cards kept in memory: a delivery is rendered to be measured and again to be sent
_MARK_OF_PRIORITY: Final = {Priority.URGENT: "🚨", Priority.HIGH: "❗"}
_EXCEPTION: Final = re.compile(r"(?:\w+\.)*([^\W\d]\w{0,60})(?::|$)")
_ENDED: Final = "✅"  # what was wrong is over
_TONE_OF_PRIORITY: Final = {
    Priority.URGENT: 0xC0392B,
    Priority.HIGH: 0xE67E22,
    Priority.NORMAL: 0x3498DB,
    Priority.LOW: 0x95A5A6,
}


class BodyForm(Enum):
    """How the body is to be read: as it is written, as Markdown, or as output of a program, in which every column and line counts."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CODE = "code"


class PastState(NamedTuple):
    """An earlier state of a live message. `price` is empty where there is none."""

    at: float  # Unix seconds
    title: str
    price: str


class Card(msgspec.Struct, frozen=True):
    """A message. Texts are clean; all but `body` and the values of facts and fields are one line."""

    id: str
    title: str
    priority: Priority
    time: float  # Unix seconds: the signal's own time, else its acceptance
    tone: int  # a colour, 0xRRGGBB: that of the trade, else that of the priority
    mark: str = ""  # of urgent and high ones, and of the end of what was wrong, for the head of a line
    sign: str = ""  # what a trading signal does to its trade: ▲ ▼ ■ ◆, for readers who cannot tell the colours apart
    late: str = ""  # "5m late"
    doubt: str = ""  # "possible duplicate"
    again: str = ""  # "reminder 2": it was posted before, and is not acknowledged
    as_of: str = ""  # "as of 02:13 UTC": when the numbers of a late alert, or of a reminder, were true
    body: str = ""
    form: BodyForm = BodyForm.TEXT
    facts: tuple[Fact, ...] = ()  # what tocsin knows: action, prices, confidence
    fields: tuple[Fact, ...] = ()  # the program's own
    history: tuple[PastState, ...] = ()  # the latest first
    earlier: int = 0  # states before those
    cause: str = ""  # the exception that a traceback reports: TimeoutError
    own: bool = False  # the daemon wrote it: times in it are in UTC, as it writes them
    host: str = ""  # where it happened, once there are several hosts; the footer has it as well
    footer: tuple[str, ...] = ()  # priority, tier, source and host, tags; each part is short
    link: str | None = None
    valid_until: float | None = None  # Unix seconds
    file: str | None = None  # name of the file that goes along

    @property
    def all_facts(self) -> tuple[Fact, ...]:
        """All facts and fields, in order."""
        return self.facts + self.fields

    @property
    def footer_without_host(self) -> tuple[str, ...]:
        """The footer of a message whose push line says the host."""
        parts = (part.removesuffix(self.host).removesuffix(" on ") if self.host else part for part in self.footer)
        return tuple(part for part in parts if part)

    @property
    def short_id(self) -> str:
        """The end of the id, by which `tocsin why` finds it."""
        return self.id[-SHORT_ID:]


def headline(card: Card) -> str:
    """The title with what a reader must know before he acts on it: how urgent it is, how late, and whether he may have seen it before."""
    title = " ".join(filter(None, (card.mark, card.sign, card.title)))
    return " · ".join(filter(None, (title, card.late, card.doubt, card.again)))


def title_with_host(card: Card) -> str:
    """The headline, with the host."""
    return " · ".join(filter(None, (headline(card), card.host)))


def push_line(card: Card) -> str:
    """The headline, with the host, the exception, and the facts that lead."""
    leads = [fact for fact in card.facts if fact.leads]
    words = " ".join(one_line(fact.value) for fact in leads if fact.name in LEAD_WORDS)
    facts = (_in_line(fact, fact.name.lower()) for fact in leads if fact.name not in LEAD_WORDS)
    fields = (_in_line(fact, fact.name) for fact in card.fields if fact.leads)
    numbers = [*facts, *fields]
    when = [card.as_of] if numbers else []
    return " · ".join(filter(None, (title_with_host(card), card.cause, words, *when, *numbers)))


def _in_line(fact: Fact, name: str) -> str:
    value = one_line(fact.value)
    return value if fact.bare else f"{name} {value}"


def card_of(delivery: Delivery, *, gone: bool = False, takes_files: bool = True) -> Card:
    """The card of `delivery`. `gone`: its file is not there any more. `takes_files`: whether the destination sends files.

    The claim between measuring and sending changes nothing visible, unless the delivery is late.
    """
    tried = None if lateness(delivery) is None else delivery.tried
    alike = msgspec.structs.replace(delivery, attempts=0, first_try=None, tried=tried, update=None)
    return _card(alike, why_no_file(delivery, gone=gone, takes_files=takes_files))


def card_of_update(update: LiveUpdate, *, gone: bool = False, takes_files: bool = True) -> Card:
    """The card of a live message: its state, and the states before it."""
    history = tuple(
        PastState(line.at, one_line(line.title), "" if line.price is None else number(line.price))
        for line in reversed(update.history)
    )
    card = card_of(update.message, gone=gone, takes_files=takes_files)
    return msgspec.structs.replace(card, history=history, earlier=update.then.earlier)


def why_no_file(delivery: Delivery, *, gone: bool, takes_files: bool) -> str:
    """Why the file that came with a signal does not go along; empty when it does."""
    if delivery.plain_format:
        return REFUSED_NOTE
    return MISSING_NOTE if gone else "" if takes_files else NO_FILES_NOTE


@lru_cache(maxsize=_RECENT)
def _card(delivery: Delivery, no_file: str) -> Card:
    signal = delivery.signal
    trade, age = trade_of(signal), lateness(delivery)
    facts, fields = (
        (*facts_of(signal, trade), *_about_file(signal, no_file), *_about_repetitions(delivery)),
        tuple(fields_of(signal, trade)),
    )
    if not (own := signal.source == DAEMON_SOURCE):  # the fields of a digest are lines of text
        facts, fields = with_leads(signal.title, facts, fields)
    title, body = _title_and_body(signal)
    return Card(
        id=delivery.id,
        title=title,
        priority=delivery.priority,
        time=shown_time(delivery),
        tone=trade.colour if trade else _TONE_OF_PRIORITY[delivery.priority],
        mark=_mark(delivery, trade),
        sign=trade.step.value if trade else "",
        late="" if age is None else f"{age_of(age)} late",
        doubt=DOUBT if delivery.maybe_duplicate else "",
        again=_again(delivery.repeats),
        as_of=as_of(delivery),
        body=body,
        form=_form(signal),
        facts=facts,
        fields=fields,
        cause=_cause(title, body) if signal.code else "",
        own=own,
        host=next(iter(short(signal.host)), ""),
        footer=tuple(footer_parts(delivery)),
        link=clean(signal.link) or None if signal.link else None,
        valid_until=valid_until(delivery),
        file=signal.attach if signal.attach and not no_file else None,
    )


def _again(repeats: int) -> str:
    return f"reminder {repeats}" if repeats > 0 else UNACKNOWLEDGED if repeats == NEVER_AGAIN else ""


def _title_and_body(signal: Signal) -> tuple[str, str]:
    """A title that no reader would see is replaced by the first line of the body."""
    title, body = one_line(signal.title), _body(signal)
    if not is_blank(title):
        return title, body
    first, _, rest = body.partition("\n")
    words = [word for word in (signal.action, signal.symbol, signal.source) if word and not is_blank(clean(word))]
    return (
        (one_line(first), "" if is_blank(rest) else rest.strip("\n"))
        if first
        else (one_line(" ".join(words)) or UNTITLED, "")
    )


def _ends(signal: Signal) -> bool:
    """Whether it says that something is over; unlike the end of a story, without a key as well."""
    return bool(signal.done) or (signal.action or "").strip().upper() in ENDS


def _mark(delivery: Delivery, trade: Trade | None) -> str:
    """What is over needs no hurry. A trade that ends has its sign, whether it was won or lost."""
    if _ends(delivery.signal):
        return "" if trade else _ENDED
    return _MARK_OF_PRIORITY.get(delivery.priority, "")


def _form(signal: Signal) -> BodyForm:
    if signal.code:
        return BodyForm.CODE
    return BodyForm.MARKDOWN if signal.markdown else BodyForm.TEXT


def _body(signal: Signal) -> str:
    body = (output_of_program if signal.code else clean)(signal.body or "")
    return "" if is_blank(body) else body


def _cause(title: str, body: str) -> str:
    """The name of the exception that the last traceback in `body` reports, behind its indented lines; empty where the title has it."""
    _, traceback, rest = body.rpartition(TRACEBACK)
    lines = rest.split("\n")[1:] if traceback else []
    found = _EXCEPTION.match(next((line for line in lines if line[:1] not in {" ", ""}), ""))
    return found[1] if found and found[1] not in title else ""


def _about_file(signal: Signal, no_file: str) -> Iterator[Fact]:
    """A note about a file that is not attached, and why."""
    note = signal.attach_note
    if signal.attach and no_file:
        note = f"{signal.attach} is not attached: {no_file}"
    if note:
        yield Fact("Attachment", clean(note))


def _about_repetitions(delivery: Delivery) -> Iterator[Fact]:
    """How to end the reminders."""
    if delivery.repeats > 0:
        yield Fact("To stop the reminders", f"tocsin ack {delivery.id[-SHORT_ID:]}")
