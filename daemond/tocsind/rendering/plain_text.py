"""A card as plain text, for services without cards: mail, ntfy, Telegram, a terminal. And cut to what they take, in their own unit.

The text is all that a card says beside its headline, which such a service shows as a title, or as the first line. Where it does not fit,
what matters least yields first: the history, then the facts from the last one on, then the body. Link and footer stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from .card import BodyForm, Card, PastState
from .numbers import iso
from .text import EMPTY, MARK, Measure, fitted, one_line

_BREAK = "\n\n"


def text_of(card: Card, most: float = float("inf"), measure: Measure = len, *, led: bool = False) -> str:
    """The text in at most `most` units. `led`: the push line stands above it, so the facts that it says are left out."""
    facts, end = list(fact_lines(card, led=led)), "\n".join(end_lines(card, led=led))
    for past in (list(history_lines(card)), []):
        whole = _joined(card.body, "\n".join(facts), end, "\n".join(past))
        if measure(whole) <= most:
            return whole
    room = int(most) - measure(end) - 2 * len(_BREAK)
    told = _fitted_lines(facts, max(room - measure(card.body), room // 2), measure)
    at_head = True if card.form is BodyForm.CODE else None
    body = fitted(card.body, max(room - measure(told), 0), measure, at_head=at_head)
    return fitted(_joined(body, told, end), int(most), measure, at_head=False)


def fact_lines(card: Card, *, led: bool = False) -> Iterator[str]:
    """A line for each fact and field."""
    for fact in card.all_facts:
        if not (led and fact.leads):
            yield f"{fact.name or EMPTY}: {one_line(fact.value) or EMPTY}"


def end_lines(card: Card, *, led: bool = False) -> Iterator[str]:
    """How long it is valid, the link, a file that is not sent along, and the footer, with the time in UTC and the id. `led`: a line above
    says the host.
    """
    if card.valid_until is not None and (until := utc(card.valid_until)):
        yield f"Valid until {until}"
    if card.link:
        yield card.link
    if card.file:
        yield f"{card.file} is not sent to this service"
    yield " · ".join(filter(None, (*(card.footer_without_host if led else card.footer), utc(card.time), card.short_id)))


def history_lines(card: Card) -> Iterator[str]:
    """The earlier states of a live message, the latest first."""
    yield from map(_state, card.history)
    if card.earlier:
        yield f"{MARK} and {card.earlier:,} earlier"


def utc(at: float) -> str:
    """`2026-01-01 12:00:00 UTC`; empty for a time that no calendar shows."""
    text = iso(at)
    return f"{text[:10]} {text[11:19]} UTC" if text else ""


def _state(state: PastState) -> str:
    return " · ".join(filter(None, (utc(state.at), state.title, state.price)))


def _fitted_lines(lines: list[str], room: int, measure: Measure) -> str:
    """As many lines as fit; the last one counts those left out."""
    for kept in range(len(lines), -1, -1):
        rest = [f"{MARK} and {len(lines) - kept} more"] if kept < len(lines) else []
        text = "\n".join([*lines[:kept], *rest])
        if measure(text) <= room:
            return text
    return ""


def _joined(*parts: str) -> str:
    return _BREAK.join(filter(None, parts))
