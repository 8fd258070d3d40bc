"""Where signals go. A destination turns a batch of deliveries into one request and reports an outcome for each.

A destination does not log, retry, sleep or count, and does not know the journal or the lane. The lane decides what an outcome means.
`footprint` says how much of a message a delivery needs, `policy.batch` forms the batch, and the lane passes one batch at a time. An
expected failure is a value; an exception is a bug and stops the daemon, which loses nothing, because the attempt is on record.

How to add a kind KIND (an HTTP service; about 200 lines, most of them the table and the dialect):

    1  config/kinds/KIND.py       its Options (a subclass with `deadline`, `identity`, `address`, `pace`, `url`), FIELDS, KIND; an entry in
                                  config.kinds.KINDS. A secret is read by `secret_sources.secret`; a missing one disables: `first_reason`
    2  destinations/KIND.py       a Response that says where the service puts its code, words, wait and proof; TABLE, which ends with
                                  ANY_SERVICE; EDITS where messages can be edited; an HttpDestination (`base`) with `request`, and with
                                  `question` and `found` where the service can be asked without side effects;
                                  a builder in `registry`, and the tables in `table_page.PAGES`, a row in
                                  `kinds_page.ROWS`
    3  rendering/KIND.py          the dialect: a Card as the service's message, measured and cut in its own unit
    4  testing/kinds/KIND.py      the fake: a FakeService that keeps the service's limits and makes its mistakes on demand
    5  tests/contracts/kinds.py   an entry: the contract suite then runs over the kind (tests/contracts/test_kinds.py)
    6  docs/how-to/KIND.md, alerts.toml, CHANGELOG.md

A kind without HTTP (email, exec, apprise) is a class of its own with the members of `Destination`. Its answers are a table as well: an
SMTP reply or an exit code is the status of a Response. In the contract suite it has a subclass of Subject.

What decides the outcome of a request is stated in `table`. A kind is repeatable only when the service is known to recognize what it has
seen. Text of a service reaches people only through `bounded_reason`, and a URL or header with a secret only as a Secret.

    http              the only module that imports httpx: every request ends in a value, and no error text contains a URL
    network_settings  proxies and certificates from the environment, and which destinations they leave unreachable
    connect_errors    why a connection failed, as text without addresses
    response          an answer of any service, parsed as far as all agree
    table             what each answer means, as a table; the meanings, and the default table
    base              what destinations over HTTP have in common
    table_page        the tables as a page of documentation
    kinds_page        what each kind can do, as a page of documentation
    rejections        which deliveries a refused message is about, and what follows for each
    refused_parts     parts of a Discord message that are left out for a while
    discord           Discord's webhooks; discord_response, discord_table and discord_rejections: its answers
    raw_messages      what a webhook does with messages that go as they are
    multipart         a request body with files, as Discord expects it
    email             mail; smtp: the client, mail_message: the mail itself
    exec              a command of the operator's; child: a process with a hard end
    apprise           any service that Apprise knows; apprise_worker: the process that sends
    file              JSON lines, synced
    file_paths        whether a file destination can be written here
    registry          kind -> constructor and known rate limits
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tocsind.policy.batch import Footprint
from tocsind.policy.delivery import Delivery
from tocsind.policy.live_message import Editing
from tocsind.policy.outcomes import ChannelInfo, Report

__all__ = ["Destination"]


class Destination(Protocol):
    """The far end of a lane."""

    @property
    def max_items(self) -> int:
        """The number of deliveries that one request may carry."""

    @property
    def editing(self) -> Editing:
        """What can be done with a sent message. Unless NONE, the signals of one key share a live message there (policy.live_message)."""

    @property
    def repeatable(self) -> bool:
        """Whether the server recognizes a request that it has seen: then a request without an answer is repeated and leaves no copy."""

    @property
    def max_chars(self) -> float:
        """The number of code points of a batch; infinity where there is no limit."""

    @property
    def max_bytes(self) -> float:
        """The number of bytes of a batch's attachments; infinity where none are sent."""

    def footprint(self, delivery: Delivery) -> Footprint:
        """How much of a message this delivery needs, and what it may share one with."""

    async def discover(self) -> ChannelInfo:
        """Ask which channel the destination leads to. One request, or none where there is nothing to ask."""

    async def check(self) -> ChannelInfo:
        """Ask whether it works, without posting anything, for `tocsind check --online`. `shows` says in a few words what is known then."""

    async def deliver(self, batch: Sequence[Delivery]) -> Report:
        """Send the batch in this order, in one request: 1 to `max_items` deliveries that fit. After a cancellation the outcome is unknown.

        Deliveries of a live message carry `update`, the text to show instead; however many there are, the message shows one.
        """

    def preview(self, batch: Sequence[Delivery]) -> dict[str, Any]:
        """What `deliver` would send, for people: `payload`; `limits`, each `name`, `used`, `most`; `notes`. Contains no secret."""

    async def aclose(self) -> None:
        """Close files and connections."""
