"""What the server counted, so that a test need not."""

from __future__ import annotations

from collections import Counter

import msgspec

from tocsind.http_server import Ending, Reply
from tocsind.testing.answers import Scope


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. Only requests to webhook routes are counted, never the control surface."""

    requests: int
    posts: int
    """Messages that were tried to be posted, whatever came of it."""
    answers: int
    """Whole answers; what was dropped or cut is not among them."""
    by_status: dict[int, int]
    limited: dict[str, int]
    """429s by scope: user, shared, global, cloudflare, and `unsaid` where no header names it."""
    invalid: int
    """401, 403 and 429 that is not shared: what Cloudflare counts before it bans."""
    accepted: int
    """Messages saved, foreign posts not included."""
    edited: int
    removed: int
    unsaved: int
    """204 for a message that was never saved: what `wait=false` hides."""
    dropped: int
    """Requests that got no answer, or half of one."""
    foreign: int
    foreign_refused: int
    after_deletion: dict[str, int]
    """Requests to a webhook after it was deleted, by its id."""
    in_flight: int
    """Now; questions (GET), which change nothing in a channel, are not counted."""
    held: int
    """Requests waiting for `release`."""
    most_in_flight: dict[str, int]
    """The most of them in flight at one time, by channel."""
    connections: int
    """TCP connections ever opened, control surface included."""


class Tally:
    """Counts while they grow."""

    def __init__(self) -> None:
        self.requests = 0
        self.posts = 0
        self.by_status: Counter[int] = Counter()
        self.limited: Counter[str] = Counter()
        self.invalid = 0
        self.accepted = 0
        self.edited = 0
        self.removed = 0
        self.unsaved = 0
        self.dropped = 0
        self.foreign = 0
        self.foreign_refused = 0
        self.after_deletion: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.held = 0

    def enter(self, channel_id: str, *, posting: bool, asking: bool) -> None:
        self.requests += 1
        self.posts += posting
        self.in_flight[channel_id] += not asking
        self.most_in_flight[channel_id] = max(self.most_in_flight[channel_id], self.in_flight[channel_id])

    def leave(self, channel_id: str, *, asking: bool) -> None:
        self.in_flight[channel_id] -= not asking

    def answered(self, reply: Reply) -> None:
        if reply.ending is Ending.WHOLE:
            self.by_status[reply.status] += 1
        else:
            self.dropped += 1
        if reply.status == 429:
            self.limited[_scope(reply)] += 1
        self.invalid += is_invalid(reply)

    def snapshot(self, connections: int) -> Counts:
        return Counts(
            requests=self.requests,
            posts=self.posts,
            answers=self.by_status.total(),
            by_status=dict(self.by_status),
            limited=dict(self.limited),
            invalid=self.invalid,
            accepted=self.accepted,
            edited=self.edited,
            removed=self.removed,
            unsaved=self.unsaved,
            dropped=self.dropped,
            foreign=self.foreign,
            foreign_refused=self.foreign_refused,
            after_deletion=dict(self.after_deletion),
            in_flight=self.in_flight.total(),
            held=self.held,
            most_in_flight=dict(self.most_in_flight),
            connections=connections,
        )


def _scope(reply: Reply) -> str:
    is_discords = reply.headers.get("Content-Type") == "application/json"
    return reply.headers.get("X-RateLimit-Scope", "unsaid" if is_discords else Scope.CLOUDFLARE)


def is_invalid(reply: Reply) -> bool:
    """Whether Cloudflare holds this answer against the client."""
    shared = reply.headers.get("X-RateLimit-Scope") == Scope.SHARED
    return reply.status in {401, 403} or (reply.status == 429 and not shared)
