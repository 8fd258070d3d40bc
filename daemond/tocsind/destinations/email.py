"""Mail: a signal is one mail to all recipients, and it has arrived when the relay says so.

Its Message-ID is made of the signal's id, so a mail that is sent again is the same mail, which most stores keep once. A recipient for whom
the relay is not ready yet is tried again alone, with the same mail. One that it refuses is named in `why` when others have the mail, and an
alarm reports it. After a restart all recipients are tried again.

The later signals of a key answer the first mail, and mail programs show them as one thread.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from tocsind.attachments import Store
from tocsind.clock import Clock, SystemClock
from tocsind.config.kinds.email import EmailOptions, Mailbox
from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Outcome, Reach, Report, Unknown

from .http import Answer
from .network_settings import NetworkSettings
from .rejections import Rejection, verdicts, verdicts_of_edit
from .response import Response, bounded, bounded_reason
from .smtp import Ended, Mail, Relay, SmtpReply, submit
from .table import EVERY, FIVE, FOUR, Row, delivered, gone, judge, limited, rejected, strike, too_large

if TYPE_CHECKING:
    from email.message import EmailMessage

_UPLOAD: Final = 512 * 1024  # bytes a second that a line carries at least: a mail with a file has that much longer
_MAX_WAITING: Final = 1000  # mails that some recipients have and others not
_WAIT: Final = re.compile(r"\b(?:in|after|for|within) ([0-9]{1,5}) ?(s|m)(?:ec|in|econd|inute)?s?\b")


class MailResponse(Response):
    """A reply of a relay, with the stage at which it came as its code."""

    service = "the mail server"

    def __init__(self, stage: str, reply: SmtpReply) -> None:
        super().__init__(Answer(reply.code))
        self._stage = stage
        self._text = reply.text

    @property
    def code(self) -> str:
        return self._stage

    @property
    def words(self) -> str:
        return self._text

    @property
    def wait(self) -> float | None:
        """Seconds, of `try again in 300 seconds`, as greylisting says."""
        match = _WAIT.search(self._text)
        return bounded(float(match[1]) * (60 if match[2].startswith("m") else 1)) if match else None


def put_off(response: MailResponse) -> Outcome:
    """Deferred"""
    return Deferred(f"{response.status} from {response.service}{response.said}", wait=response.wait)


_LIMITS: Final = r"too many|too fast|rate limit|limit exceeded|rate exceeded|sending (limit|quota)|throttl|\b4\.7\.28\b"
_DAILY_LIMIT: Final = r"\b5\.4\.5\b|daily (user )?sending (limit|quota)"  # Gmail's, which is no refusal
TABLE: Final[tuple[Row[MailResponse], ...]] = (
    Row({250}, {"end"}, delivered),
    Row(FOUR, None, limited(Reach.KIND), says=_LIMITS),
    Row(FIVE, None, limited(Reach.KIND), says=_DAILY_LIMIT),
    Row(FOUR, None, put_off),
    Row({530, 534, 535}, None, gone),
    Row({552}, {"MAIL", "end"}, too_large),
    Row(FIVE, {"DATA", "end"}, rejected),
    Row(FIVE, None, strike),
    Row(EVERY, None, put_off),
)


class _Waiting(NamedTuple):
    """A mail that some recipients do not have yet, and those that were refused for good, as text."""

    recipients: tuple[Mailbox, ...]
    refused: str


class EmailDestination:
    """The recipients of one destination."""

    max_items: Final = 1
    max_chars: Final = inf
    max_bytes: Final = inf  # one file a mail
    editing: Final = Editing.THREAD
    repeatable: Final = True

    def __init__(self, options: EmailOptions, attachments: Store | None = None, clock: Clock | None = None) -> None:
        self._options = options
        self._attachments = attachments
        self._clock = clock or SystemClock()
        self._tls: ssl.SSLContext | None = None  # loaded for the first mail
        self._waiting: dict[str, _Waiting] = {}  # by Message-ID

    def footprint(self, delivery: Delivery) -> Footprint:
        key = delivery.signal.key
        return Footprint(key=key, max_batch=delivery.max_batch, must_be_alone=bool(key))

    async def discover(self) -> ChannelInfo:
        """Nothing is asked: a login without a mail is what relays count against a host."""
        return ChannelInfo()

    async def check(self) -> ChannelInfo:
        """Greet the relay and log in."""
        relay = self._relay()
        if isinstance(relay, Deferred):
            return ChannelInfo(problem=relay)
        ended = await submit(relay, None, self._options.deadline)
        if ended.reply is not None and ended.reply.is_positive:
            done = "takes the login" if relay.username else "answers"
            return ChannelInfo(answered=True, shows=f"the mail server {done}; only a mail can show more")
        verdict, _ = self._verdict(ended, "", ())
        problem = Deferred(verdict.reason) if isinstance(verdict, Rejection) else verdict
        return ChannelInfo(problem=None if isinstance(problem, Delivered) else problem)

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        relay = self._relay()
        if isinstance(relay, Deferred):
            return Report((relay,) * len(batch))
        message = self._message(batch, await self._file(shown(batch)))
        id_ = str(message["Message-ID"])
        known = self._waiting.get(id_)
        recipients = known.recipients if known else self._options.recipients
        addresses = tuple(each.address for each in recipients)
        mail = Mail(self._options.sender.address, addresses, message.as_bytes())
        ended = await submit(relay, mail, self._options.deadline + len(mail.content) // _UPLOAD)
        verdict, note = self._verdict(ended, id_, recipients)
        return Report(_assigned(verdict, ended, batch), note=note, is_problem=bool(note))

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        message = self._message(batch, None)
        headers = {name.lower(): str(value) for name, value in message.items()}
        payload = {name: value for name, value in headers.items() if not name.startswith(("content-", "mime-"))}
        payload["text"] = message.get_content()
        return {"payload": payload, "limits": [], "notes": []}

    async def aclose(self) -> None:
        """Do nothing: no connection outlives `deliver`."""

    # --- the mail -----------------------------------------------------------------------------------------------------

    def _message(self, batch: Sequence[Delivery], file: bytes | None) -> EmailMessage:
        from .mail_message import message_of  # noqa: PLC0415 - with the first mail: it takes 0.7 MB

        return message_of(self._options, batch, file, self._clock.wall())

    async def _file(self, delivery: Delivery) -> bytes | None:
        """The file of a signal; None where there is none, and after a rejection: it may have been too large."""
        if self._attachments is None or not delivery.signal.has_file or delivery.plain_format:
            return None
        return await trio.to_thread.run_sync(self._attachments.read, delivery.id)

    # --- what became of it --------------------------------------------------------------------------------------------

    def _relay(self) -> Relay | Deferred:
        """The relay, or why certificates cannot be checked. They are read for the first mail."""
        own = self._options
        try:
            self._tls = self._tls or (NetworkSettings().tls() if own.tls != "none" else None)
        except OSError:
            return Deferred(NetworkSettings().certificate_problem() or "TLS does not work", unsent=True)
        return Relay(own.host, own.port, own.tls, self._tls, own.username, own.password)

    def _verdict(self, ended: Ended, id_: str, recipients: Sequence[Mailbox]) -> tuple[Outcome | Rejection, str | None]:
        if ended.reply is None:
            if ended.is_ambiguous:
                return Unknown(f"{ended.why}: it may have arrived"), None
            return Deferred(f"{ended.why}: nothing was sent", unsent=ended.is_unsent), None
        if ended.stage == "RCPT" and len(ended.refused) == len(recipients):
            return self._none_accepted(ended), None
        verdict = judge(MailResponse(ended.stage, ended.reply), TABLE)
        if not isinstance(verdict, Delivered):
            return verdict, None
        later = tuple(each for each in recipients if (reply := ended.refused.get(each.address)) and reply.code < 500)
        known = self._waiting.pop(id_, None)
        refused = "; ".join(filter(None, (known and known.refused, _refused(ended.refused))))
        if later:
            self._remember(id_, _Waiting(later, refused))
            reply = ended.refused[later[0].address]
            reason = f"{_said(reply)} for {later[0].address}; other recipients have it"
            reason = f"{reason}; {refused}" if refused else reason
            verdict = Deferred(reason, Cause.PARTLY, wait=MailResponse("RCPT", reply).wait)
        else:
            verdict = Delivered(id_, refused or None)
        return verdict, refused

    def _none_accepted(self, ended: Ended) -> Outcome | Rejection:
        """What the relay said of the recipients, of which it accepted none: one that may be accepted later decides."""
        reply = min(ended.refused.values(), key=lambda each: each.code)
        return judge(MailResponse("RCPT", reply), TABLE)

    def _remember(self, id_: str, waiting: _Waiting) -> None:
        self._waiting[id_] = waiting
        while len(self._waiting) > _MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]


def _assigned(verdict: Outcome | Rejection, ended: Ended, batch: Sequence[Delivery]) -> tuple[Outcome, ...]:
    update = batch[0].update
    if isinstance(verdict, Rejection):
        status = ended.reply.code if ended.reply else 0
        return (
            verdicts(verdict, batch, status)
            if update is None
            else verdicts_of_edit(verdict, batch, status, update.message)
        )
    if isinstance(verdict, Delivered) and update and update.edits:
        verdict = Delivered(update.edits, verdict.but)  # the first mail of the thread
    return (verdict,) * len(batch)


def shown(batch: Sequence[Delivery]) -> Delivery:
    """The delivery whose state a mail shows."""
    update = batch[0].update
    return update.message if update else batch[0]


def _refused(refused: dict[str, SmtpReply]) -> str:
    """The recipients that were refused for good; empty without any."""
    found = [f"{address} is refused: {_said(reply)}" for address, reply in refused.items() if reply.code >= 500]
    return "; ".join(found)


def _said(reply: SmtpReply) -> str:
    return f"{reply.code} {bounded_reason(reply.text)}".strip()
