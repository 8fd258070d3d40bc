"""A card as a mail: a subject, and plain text, which every mail program, screen reader and filter can read."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tocsind.policy.delivery import Priority

from .card import Card, headline, push_line, title_with_host
from .plain_text import text_of
from .text import fitted

MAX_SUBJECT: Final = 150  # code points; mail programs show fewer


class MailText(NamedTuple):
    """The subject is one line."""

    subject: str
    text: str


def mail_text(card: Card, *, with_file: bool = False) -> MailText:
    """The text of a mail. `with_file`: the card's file goes along.

    The subject of urgent and high ones has the numbers that matter, because a notification shows no more.
    """
    line = push_line(card) if card.priority <= Priority.HIGH else title_with_host(card)
    subject = fitted(line, MAX_SUBJECT)
    text = text_of(msgspec.structs.replace(card, file=None) if with_file else card)
    return MailText(subject, text if subject == line else f"{headline(card)}\n\n{text}")
