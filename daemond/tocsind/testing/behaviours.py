"""What a script can make the fake do to the next requests, by name.

    normal        nothing special: lets `count` requests pass before the next line of the script
    status        any status, in JSON or HTML, before processing, or after it with `saved`
    rate_limited  a 429 in one of its four shapes
    drop          no answer: before processing, or after it with `saved`
    cut           the message is saved, and the answer ends in the middle
    slow          the message is saved, and the answer comes `delay` seconds later
    redirect      a 3xx with a Location
    not_json      the message is saved, and a proxy makes the 200 that says so a web page; the headers stay
    no_id         the message is saved, and a 200 says so in JSON without an id
    no_wait       the message is saved, and a 204 says so without a body, as to `wait=false`: a proxy dropped the query
    poison        a 400 for each message with an embed that holds a certain text, and the path to it if so wanted

Each has `count` (None: until the script is cleared), `webhook` (an id; None: any), `method` ("*": any) and `delay`.
A script is worked off from the top; a line that does not match a request lets it pass to the next line. Lines
that need a saved message wait for one: a request that was refused in the ordinary way does not use them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from tocsind.discord_api.errors import as_json, error, plain_error
from tocsind.http_server import Ending, Reply
from tocsind.testing.answers import Scope, ceil_ms, html, limited
from tocsind.testing.behaviour import Asked, Behaviour, FinalStatus, Location, Seconds
from tocsind.testing.poison import Poison


class Normal(Behaviour, frozen=True, tag="normal"):
    """Lets requests pass."""

    @property
    def needs_saving(self) -> bool:
        return False


class Status(Behaviour, frozen=True, tag="status"):
    """Any status. `code`, `message` and `errors` (the tree of a 50035) are Discord's, `text` is Cloudflare's, and `retry_after` (seconds)
    is the Retry-After header.
    """

    status: FinalStatus
    code: int | None = None
    message: str = ""
    errors: dict[str, Any] | None = None
    text: str = ""
    html: bool = False
    saved: bool = False
    retry_after: Seconds | None = None

    @property
    def replaces(self) -> bool:
        return not self.saved

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same for every request
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        if self.html:
            return html(self.status, headers)
        if self.text:
            return Reply(self.status, {"Content-Type": "text/plain; charset=UTF-8", **headers}, self.text.encode())
        plain = self.code is None and not self.message
        reply = plain_error(self.status) if plain else error(self.status, self.code or 0, self.message, self.errors)
        return msgspec.structs.replace(reply, headers={**reply.headers, **headers})

    def after(self, answer: Reply) -> Reply:  # noqa: ARG002  # nothing of the true answer is left
        return self.instead(Asked("", "", 0, {}))


class RateLimited(Behaviour, frozen=True, tag="rate_limited"):
    """A 429, `retry_after` in seconds whatever the API version is told. `bare`: no header names the scope, as all are optional."""

    scope: Scope = Scope.USER
    bare: bool = False
    retry_after: Seconds = 1.0

    @property
    def replaces(self) -> bool:
        return True

    def instead(self, asked: Asked) -> Reply:
        reply = limited(self.scope, self.retry_after, asked.version, self._headers(asked))
        if not self.bare:
            return reply
        return msgspec.structs.replace(
            reply, headers={name: value for name, value in reply.headers.items() if name != "X-RateLimit-Scope"}
        )

    def _headers(self, asked: Asked) -> Mapping[str, str]:
        if self.scope is Scope.SHARED:
            return {**asked.rate_headers, "X-RateLimit-Remaining": "4"}
        if self.scope is not Scope.USER:
            return {}
        reset_after = f"{ceil_ms(self.retry_after):.3f}"
        return {**asked.rate_headers, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": reset_after}


class Drop(Behaviour, frozen=True, tag="drop"):
    """The connection ends without an answer."""

    saved: bool = False

    @property
    def replaces(self) -> bool:
        return not self.saved

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same for every request
        return Reply(500, ending=Ending.DROPPED)

    def after(self, answer: Reply) -> Reply:
        return msgspec.structs.replace(answer, ending=Ending.DROPPED)


class Cut(Behaviour, frozen=True, tag="cut"):
    """The connection ends in the middle of the answer."""

    def after(self, answer: Reply) -> Reply:
        return msgspec.structs.replace(answer, ending=Ending.CUT)


class Slow(Behaviour, frozen=True, tag="slow"):
    """The true answer, late."""

    delay: Seconds = 1.0


class Redirect(Behaviour, frozen=True, tag="redirect"):
    """A redirect that a client with a token in its URL must not follow."""

    status: FinalStatus = 302
    location: Location = "http://127.0.0.1:9/elsewhere"

    @property
    def replaces(self) -> bool:
        return True

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same for every request
        return html(self.status, {"Location": self.location})


class NotJson(Behaviour, frozen=True, tag="not_json"):
    """A 200 in HTML."""

    def after(self, answer: Reply) -> Reply:
        return html(200, _rate_headers(answer))


class NoId(Behaviour, frozen=True, tag="no_id"):
    """A 200 in JSON that proves nothing."""

    def after(self, answer: Reply) -> Reply:
        return as_json(200, {"type": 0}, _rate_headers(answer))


class NoWait(Behaviour, frozen=True, tag="no_wait"):
    """A 204 without a body."""

    def after(self, answer: Reply) -> Reply:
        return Reply(204, _rate_headers(answer))


def _rate_headers(answer: Reply) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("X-")}


AnyBehaviour: TypeAlias = (
    Normal | Status | RateLimited | Drop | Cut | Slow | Redirect | NotJson | NoId | NoWait | Poison
)


def read_behaviours(json: bytes) -> list[AnyBehaviour]:
    """One behaviour or a list of them, from JSON. Raises msgspec.ValidationError or DecodeError."""
    many = json.lstrip().startswith(b"[")
    return (
        msgspec.json.decode(json, type=list[AnyBehaviour]) if many else [msgspec.json.decode(json, type=AnyBehaviour)]
    )


def as_behaviour(written: Behaviour | Mapping[str, Any]) -> Behaviour:
    """A behaviour, or the dictionary that JSON would hold, checked either way. Raises msgspec.ValidationError."""
    read: Behaviour = msgspec.convert(msgspec.to_builtins(written), type=AnyBehaviour)
    return read
