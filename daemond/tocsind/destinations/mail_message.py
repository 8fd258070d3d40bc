"""The mail for a batch: headers, text, and the file of a signal.

It is imported with the first mail, because the mail package of the standard library takes 0.7 MB.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from tocsind.config.kinds.email import EmailOptions, Mailbox
from tocsind.policy.delivery import Delivery, Priority
from tocsind.rendering import card_of, card_of_update
from tocsind.rendering.email import MailText, mail_text

_IMPORTANCE: Final = {Priority.URGENT: ("1", "high"), Priority.HIGH: ("2", "high"), Priority.LOW: ("5", "low")}


def message_of(options: EmailOptions, batch: Sequence[Delivery], file: bytes | None, wall: float) -> EmailMessage:
    """The mail, which is sent at Unix time `wall`."""
    update, last = batch[0].update, batch[-1]
    shown = update.message if update else batch[0]
    subject, text = _text(batch, with_file=file is not None)
    message = EmailMessage(policy=SMTP)
    message["From"] = _header(options.sender)
    message["To"] = [_header(each) for each in options.recipients]
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.fromtimestamp(int(wall), UTC))
    message["Message-ID"] = message_id(last, options.sender)
    if update and update.edits:
        message["In-Reply-To"] = message["References"] = update.edits
    message["Auto-Submitted"] = "auto-generated"  # no vacation notes
    if importance := _IMPORTANCE.get(min(each.priority for each in batch)):
        message["X-Priority"], message["Importance"] = importance
    message.set_content(text, cte="quoted-printable")
    if file is not None:
        _attach(message, shown.signal.attach or "file", file)
    return message


def message_id(delivery: Delivery, sender: Mailbox) -> str:
    """The same for every try. A repetition is another mail."""
    # A destination's name may have dots where an id must not: at its ends, and two in a row.
    name = delivery.destination.replace(".", "=2E")
    repetition = f".{delivery.repeats}" if delivery.repeats > 0 else ""
    return f"<{delivery.id}{repetition}.{name}@{sender.address.partition('@')[2]}>"


def _text(batch: Sequence[Delivery], *, with_file: bool) -> MailText:
    update = batch[0].update
    if update:
        card = card_of_update(update, gone=update.message.signal.has_file and not with_file)
    else:
        card = card_of(batch[0], gone=batch[0].signal.has_file and not with_file)
    return mail_text(card, with_file=with_file)


def _header(mailbox: Mailbox) -> Address:
    return Address(mailbox.name, addr_spec=mailbox.address)


def _attach(message: EmailMessage, name: str, content: bytes) -> None:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    main, _, sub = kind.partition("/")
    message.add_attachment(content, maintype=main, subtype=sub, filename=name)
