"""The requests: a union of structs, tagged by `op`. Frames and errors are in tocsin.wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tocsin.wire import PROTOCOL

State = Literal[
    "held",
    "queued",
    "sending",
    "sent",
    "unknown",
    "dead",
    "expired",
    "rerouted",
    "digested",
    "dropped",
    "silenced",
    "superseded",
]
Ack = Literal["stored", "received", "none"]
MOST_LOSSES = 1_000_000  # in one report: no client can make the counter useless with a single request


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True):
    """Any request. Unknown fields are refused, so a client that sends a `uid` learns that it has no effect."""

    v: int = PROTOCOL


class SendRequest(Request, frozen=True, kw_only=True):
    """A request with signals. `ack` says when to answer: `stored` after the sync, `received` before it, `none` never.

    `spool` asks for the folder where the daemon reads outboxes. `after` names an outbox and the record of it to import first.
    """

    ack: Ack = "stored"
    spool: bool = False
    after: tuple[str, int] | None = None


class Send(SendRequest, frozen=True, kw_only=True, tag="send"):
    """Store one signal: an object of its fields; any other value is its title."""

    signal: Any


class SendMany(SendRequest, frozen=True, kw_only=True, tag="send_many"):
    """Store many signals in one commit."""

    signals: list[Any]


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """The status object."""


class Exposition(Request, frozen=True, kw_only=True, tag="metrics"):
    """The status, as Prometheus text."""


class Why(Request, frozen=True, kw_only=True, tag="why"):
    """The history of one signal."""

    id: str


class Queue(Request, frozen=True, kw_only=True, tag="queue"):
    """Deliveries that wait, or that are in `state`."""

    state: State | None = None
    destination: str | None = None
    limit: int = 100


class Retry(Request, frozen=True, kw_only=True, tag="retry"):
    """Requeue dead deliveries: of one signal by `id`, or `all`, of one destination or of every one."""

    id: str | None = None
    all: bool = False
    destination: str | None = None


class Drop(Request, frozen=True, kw_only=True, tag="drop"):
    """Drop the waiting deliveries of one signal."""

    id: str


class Enable(Request, frozen=True, kw_only=True, tag="enable"):
    """Enable a disabled destination."""

    destination: str


class Tail(Request, frozen=True, kw_only=True, tag="tail"):
    """The latest events, at most `last` of them, and with `follow` all later ones."""

    follow: bool = False
    last: int | None = None


class Wait(Request, frozen=True, kw_only=True, tag="wait"):
    """Answer when every delivery of this signal is settled, or after so many seconds."""

    id: str
    seconds: float


class Test(Request, frozen=True, kw_only=True, tag="test"):
    """A dry run of one signal: nothing is stored or sent."""

    signal: Any


class Backup(Request, frozen=True, kw_only=True, tag="backup"):
    """A consistent copy of the journal, as a stream of pieces. For root and the daemon's own user only."""


class AddClientWebhook(Request, frozen=True, kw_only=True, tag="add_webhook"):
    """Make a destination of this webhook; the answer names it."""

    url: str

    def __repr__(self) -> str:
        return "AddClientWebhook(****)"


class Losses(Request, frozen=True, kw_only=True, tag="losses"):
    """Count signals that the client could not hand over earlier."""

    refused: Annotated[int, Meta(ge=0, le=MOST_LOSSES)] = 0
    dropped: Annotated[int, Meta(ge=0, le=MOST_LOSSES)] = 0


class Acknowledge(Request, frozen=True, kw_only=True, tag="acknowledge"):
    """End the repetitions of a signal (`name` is its id) or of a story (its key)."""

    name: str


class Silence(Request, frozen=True, kw_only=True, tag="silence"):
    """Store matching signals for so many seconds and send none of them. Every pair of `when` must match: a key of a route, and a value."""

    when: list[tuple[str, str]]
    seconds: float
    reason: str | None = None


class Silences(Request, frozen=True, kw_only=True, tag="silences"):
    """The silences in force."""


class Unsilence(Request, frozen=True, kw_only=True, tag="unsilence"):
    """End a silence early."""

    id: str


class Expect(Request, frozen=True, kw_only=True, tag="expect"):
    """A beat of the program `name`, which is expected `every` so many seconds; `watch` the process of this connection until its goodbye."""

    name: str
    every: float | None = None
    grace: float | None = None
    priority: Literal["urgent", "high", "normal", "low"] | None = None
    to: list[str] | None = None
    message: str | None = None
    watch: bool = False


class Goodbye(Request, frozen=True, kw_only=True, tag="goodbye"):
    """The program `name` ends as it should; with `forget` it is no longer expected."""

    name: str
    forget: bool = False


class Expected(Request, frozen=True, kw_only=True, tag="expected"):
    """All expectations."""


class Reload(Request, frozen=True, kw_only=True, tag="reload"):
    """Read the configuration again, as SIGHUP does, and say what came of it."""


class Hosts(Request, frozen=True, kw_only=True, tag="hosts"):
    """The hosts that share an engine with this one."""


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
    | Acknowledge
    | Silence
    | Silences
    | Unsilence
    | Expect
    | Goodbye
    | Expected
    | Hosts
    | Reload
)
