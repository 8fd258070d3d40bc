"""What a script can make the fake do to the next requests, by name.

    normal        nothing special: lets `count` requests pass before the next line of the script
    status        any status, in JSON or HTML, before processing, or after it with `saved`
    rate_limited  a 429 in one of its four shapes
    drop          no answer: before processing, or after it with `saved`
    cut           the message is saved, and the answer ends in the middle
    slow          the message is saved, and the answer comes `delay` seconds later
    redirect      a 3xx with a Location
    not_json      the message is saved, and a 200 says so in HTML
    no_id         the message is saved, and a 200 says so in JSON without an id

Each has `count` (None: until the script is cleared), `webhook` (an id; None: any), `method` ("*": any) and `delay`.
A script is worked off from the top; a line that does not match a request lets it pass to the next line. Lines
that need a saved message wait for one: a request that was refused in the ordinary way does not use them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from tocsind.testing.answers import Scope, as_json, ceil_ms, error, html, limited, plain_error
from tocsind.testing.webserver import Ending, Reply

ANY_METHOD: Final = "*"

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
FinalStatus: TypeAlias = Annotated[int, msgspec.Meta(ge=200, le=599)]
"""A 1xx is no answer, and HTTP has nothing beyond 599."""
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Location: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]+$")]


class Asked(msgspec.Struct, frozen=True):
    """What a behaviour needs to know of the request it meets."""

    webhook_id: str
    method: str
    version: int
    rate_headers: Mapping[str, str]
    """The bucket's headers, were it not for the script."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="behaviour"):
    """What all of them share."""

    count: Count | None = 1
    webhook: str | None = None
    method: str = "POST"
    delay: Seconds = 0.0

    @property
    def replaces(self) -> bool:
        """Whether the request is answered by `instead`, and never processed."""
        return False

    @property
    def needs_saving(self) -> bool:
        """Whether it waits for a request that succeeds."""
        return True

    def instead(self, asked: Asked) -> Reply:
        """The answer of one that does not let the request be processed."""
        raise NotImplementedError(type(self).__name__)

    def after(self, answer: Reply) -> Reply:
        """What becomes of the answer to a message that was saved."""
        return answer

    def matches(self, asked: Asked) -> bool:
        return self.webhook in {None, asked.webhook_id} and self.method in {ANY_METHOD, asked.method}


class Normal(Behaviour, frozen=True, tag="normal"):
    """Lets requests pass."""

    @property
    def needs_saving(self) -> bool:
        return False


class Status(Behaviour, frozen=True, tag="status"):
    """Any status; `code` and `message` are Discord's, `retry_after` (seconds) is the Retry-After header."""

    status: FinalStatus
    code: int | None = None
    message: str = ""
    html: bool = False
    saved: bool = False
    retry_after: Seconds | None = None

    @property
    def replaces(self) -> bool:
        return not self.saved

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same whoever asks
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        if self.html:
            return html(self.status, headers)
        plain = self.code is None and not self.message
        reply = plain_error(self.status) if plain else error(self.status, self.code or 0, self.message)
        return msgspec.structs.replace(reply, headers={**reply.headers, **headers})

    def after(self, answer: Reply) -> Reply:  # noqa: ARG002  # nothing of the true answer is left
        return self.instead(Asked("", "", 0, {}))


class RateLimited(Behaviour, frozen=True, tag="rate_limited"):
    """A 429, `retry_after` in seconds whatever the API version is told."""

    scope: Scope = Scope.USER
    retry_after: Seconds = 1.0

    @property
    def replaces(self) -> bool:
        return True

    def instead(self, asked: Asked) -> Reply:
        return limited(self.scope, self.retry_after, asked.version, self._headers(asked))

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

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same whoever asks
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
    """A redirect that nobody with a token in the URL should follow."""

    status: FinalStatus = 302
    location: Location = "http://127.0.0.1:9/elsewhere"

    @property
    def replaces(self) -> bool:
        return True

    def instead(self, asked: Asked) -> Reply:  # noqa: ARG002  # the same whoever asks
        return html(self.status, {"Location": self.location})


class NotJson(Behaviour, frozen=True, tag="not_json"):
    """A 200 in HTML."""

    def after(self, answer: Reply) -> Reply:  # noqa: ARG002  # nothing of the true answer is left
        return html(200)


class NoId(Behaviour, frozen=True, tag="no_id"):
    """A 200 in JSON that proves nothing."""

    def after(self, answer: Reply) -> Reply:
        return as_json(200, {"type": 0}, {k: v for k, v in answer.headers.items() if k.startswith("X-")})


AnyBehaviour: TypeAlias = Normal | Status | RateLimited | Drop | Cut | Slow | Redirect | NotJson | NoId


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
