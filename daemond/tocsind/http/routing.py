"""The table of routes: a method and a path lead to a handler, and to what a request must bring for it.

A path is compared by segment; `{name}` takes any one segment, decoded. A segment named `token` is the token of the request. The first route
that fits is used, so a fixed path is added before one with names in the same place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote

import msgspec

from tocsind.config import HttpOptions
from tocsind.events import ConnectionRefused, Emit
from tocsind.http_server import Admitted, Reply, Request

from .access import Access, Grant, Needs, refuse_foreign
from .replies import plain


class Call(msgspec.Struct, frozen=True):
    """A request that may be handled."""

    request: Request
    values: Mapping[str, str]
    """The segments that the path names, decoded."""
    grant: Grant
    cookie: str | None = None
    """`Set-Cookie` for a browser that sent the token in the query, where reading is all that the route needs."""


Handler: TypeAlias = Callable[[Call], Awaitable[Reply]]
Shape: TypeAlias = Callable[[int, str], Reply]
"""Makes a refusal of a status and a sentence."""


class Route(msgspec.Struct, frozen=True):
    """One method of one path."""

    method: str
    path: str
    segments: tuple[str, ...]
    handler: Handler
    needs: Needs
    body: int
    """Bytes that the body may have."""
    refusal: Shape
    shown: str | None
    """How an answer names the path to people; None: it does not."""

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The named segments of a path with as many segments; None for one that does not fit."""
        values = {}
        for own, given in zip(self.segments, segments, strict=True):
            if own[:1] == "{":
                values[own[1:-1]] = unquote(given)
            elif own != given:
                return None
        return values


_SENDING: Final = frozenset({"POST", "PUT", "PATCH"})  # methods that may bring an alert: it must not be lost unnoticed


class Router:
    """All routes of a listener."""

    def __init__(self, emit: Emit = lambda _: None) -> None:
        self._emit = emit
        self._routes: dict[int, list[Route]] = {}  # by the number of segments
        self._options = HttpOptions()
        self._access = Access(self._options)

    def apply(self, options: HttpOptions) -> None:
        """Use these tokens from now on."""
        self._options, self._access = options, Access(options)

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        needs: Needs,
        body: int = 0,
        refusal: Shape = plain,
        shown: str | None = None,
    ) -> None:
        """Add a route. `refusal` makes its 401 and 413, for routes whose clients expect a shape of their own; `shown` is its path as people
        read it, which a path without a named segment needs not.
        """
        segments = tuple(path.split("/"))
        own = path if "{" not in path else None
        route = Route(method, path, segments, handler, needs, body, refusal, shown or own)
        self._routes.setdefault(len(segments), []).append(route)

    def inspect(self, request: Request) -> Reply | Admitted:
        """The refusal of a request, or who handles it. For `http_server`, before the body is read."""
        if foreign := refuse_foreign(request, self._options.listen or ""):
            return self._refused(request, foreign, "its Host or Origin is of another host")
        found = self._find(request)
        if isinstance(found, Reply):
            return (
                self._refused(request, found, "its path or method is unknown") if request.method in _SENDING else found
            )
        route, values = found
        grant = self._access.grant(request, route.needs, values.get("token"))
        if grant is None:
            return self._refused(request, _unauthorised(route), "its token is missing or wrong")
        if _length(request) > route.body:
            too_large = route.refusal(413, f"the body may have {route.body} bytes")
            return self._refused(request, too_large, f"its body has {_length(request)} bytes")
        cookie = self._access.cookie_for(request) if route.needs is Needs.READ else None
        return Admitted(lambda whole: route.handler(Call(whole, values, grant, cookie)), route.body)

    def _refused(self, request: Request, reply: Reply, reason: str) -> Reply:
        """The refusal, reported. The path may carry a token, so no report names it."""
        self._emit(ConnectionRefused(request.peer, f"http-{reply.status}", f"an HTTP request was refused: {reason}"))
        return reply

    async def answer(self, request: Request) -> Reply:
        """The reply to a whole request."""
        found = self.inspect(request)
        return found if isinstance(found, Reply) else await found.handler(request)

    def _find(self, request: Request) -> tuple[Route, dict[str, str]] | Reply:
        """The route of a request, and the segments that its path names."""
        segments = _segments(request.path)
        method = "GET" if request.method == "HEAD" else request.method
        others: set[str] = set()
        for route in self._routes.get(len(segments), ()):
            if not self._is_usable(route) or (values := route.match(segments)) is None:
                continue
            if route.method == method:
                return route, values
            others.add(route.method)
        return _wrong_method(others) if others else self._unknown_path()

    def _is_usable(self, route: Route) -> bool:
        return route.needs is Needs.NOTHING or self._access.has_tokens

    def _unknown_path(self) -> Reply:
        """Names the paths that a person would type: those without a named segment, and those that have a name for it."""
        usable = [each for routes in self._routes.values() for each in routes if self._is_usable(each)]
        known = dict.fromkeys(each.shown for each in usable if each.shown)
        more = "" if self._access.has_tokens else "; with a `token` in [http] there is more"
        return plain(404, f"there are {', '.join(known)}{more}")


def _segments(path: str) -> list[str]:
    """The segments of a path; a slash at its end adds none."""
    return path.removesuffix("/").split("/") if len(path) > 1 else path.split("/")


def _unauthorised(route: Route) -> Reply:
    refusal = route.refusal(401, "the token is missing or wrong")
    return msgspec.structs.replace(refusal, headers={**refusal.headers, "WWW-Authenticate": "Bearer"})


def _wrong_method(methods: set[str]) -> Reply:
    allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    return plain(405, f"only {' and '.join(allowed)} are answered", Allow=", ".join(allowed))


def _length(request: Request) -> int:
    """The announced length of the body; 0 when it comes in chunks. h11 has checked that it is a number."""
    return int(request.headers.get("content-length", "0"))
