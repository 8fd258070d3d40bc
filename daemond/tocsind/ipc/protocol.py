"""What may be asked over the socket: a union tagged by `op`. The daemon's half of the wire; frames and errors are in tocsin.wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tocsin.wire import PROTOCOL

State = Literal["queued", "sending", "sent", "unknown", "dead", "expired", "rerouted", "digested", "dropped"]
Ack = Literal["stored", "received", "none"]
MOST_LOSSES = 1_000_000  # of one report: a counter is worth reading only while nobody can blow it up


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """Anything that is asked. Unknown fields are refused: who forges a `uid` shall be told that it counts for nothing."""

    v: int = PROTOCOL


class SendRequest(Request, frozen=True, kw_only=True):
    """What hands signals over. `ack` says when to answer: `stored` after the sync, `received` before it, `none` never.

    `spool` asks where outboxes are read; `after` names an outbox and the record of it that is to be taken in first.
    """

    ack: Ack = "stored"
    spool: bool = False
    after: tuple[str, int] | None = None


class Send(SendRequest, frozen=True, kw_only=True, tag="send"):
    """Take one signal: an object of its fields, or anything else as a title."""

    signal: Any


class SendMany(SendRequest, frozen=True, kw_only=True, tag="send_many"):
    """Take many signals in one commit."""

    signals: list[Any]


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """How is everything?"""


class Exposition(Request, frozen=True, kw_only=True, tag="metrics"):
    """The status, as Prometheus text."""


class Why(Request, frozen=True, kw_only=True, tag="why"):
    """What became of this signal?"""

    id: str


class Queue(Request, frozen=True, kw_only=True, tag="queue"):
    """What waits, or stands in another state?"""

    state: State | None = None
    destination: str | None = None
    limit: int = 100


class Retry(Request, frozen=True, kw_only=True, tag="retry"):
    """Put back what is dead: of one signal by `id`, or `all`, perhaps of one destination."""

    id: str | None = None
    all: bool = False
    destination: str | None = None


class Drop(Request, frozen=True, kw_only=True, tag="drop"):
    """Do not deliver what still waits of this signal."""

    id: str


class Enable(Request, frozen=True, kw_only=True, tag="enable"):
    """Put a disabled destination back."""

    destination: str


class Tail(Request, frozen=True, kw_only=True, tag="tail"):
    """The latest facts, and with `follow` all that come."""

    follow: bool = False


class Wait(Request, frozen=True, kw_only=True, tag="wait"):
    """Answer when nothing of this signal waits any more, or after so many seconds."""

    id: str
    seconds: float


class Test(Request, frozen=True, kw_only=True, tag="test"):
    """What would become of this signal, and when? Nothing is taken or sent."""

    signal: Any


class Backup(Request, frozen=True, kw_only=True, tag="backup"):
    """A consistent copy of the journal, as a stream of pieces. For root and the daemon's own user."""


class AddClientWebhook(Request, frozen=True, kw_only=True, tag="add_webhook"):
    """Take this webhook as a destination: under which name?"""

    url: str

    def __repr__(self) -> str:
        return "LendWebhook(****)"


class Losses(Request, frozen=True, kw_only=True, tag="losses"):
    """Count signals that the sender's program could not hand over before."""

    refused: Annotated[int, Meta(ge=0, le=MOST_LOSSES)] = 0
    dropped: Annotated[int, Meta(ge=0, le=MOST_LOSSES)] = 0


AnyRequest = (
    Send
    | SendMany
    | Status
    | Exposition
    | Why
    | Queue
    | Retry
    | Drop
    | Enable
    | Tail
    | Wait
    | Test
    | AddClientWebhook
    | Backup
    | Losses
)
