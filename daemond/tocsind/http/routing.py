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
from tocsind.http_server import Reply, Request

from .access import Access, Grant, Needs, refuse_foreign
from .replies import plain

_SAFE: Final = frozenset({"GET", "HEAD"})


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
    handler: Handler
    needs: Needs
    body: int
    """Bytes that the body may have."""
    refusal: Shape

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The named segments of a path that fits; None for one that does not."""
        own = self.path.split("/")
        if len(own) != len(segments):
            return None
        values = {}
        for mine, given in zip(own, segments, strict=True):
            if mine.startswith("{"):
                values[mine[1:-1]] = unquote(given)
            elif mine != given:
                return None
        return values


class Router:
    """All routes of a listener."""

    def __init__(self) -> None:
        self._routes: list[Route] = []
        self._options = HttpOptions()
        self._access = Access(self._options)

    def apply(self, options: HttpOptions) -> None:
        """Use these tokens from now on."""
        self._options, self._access = options, Access(options)

    def add(
        self, method: str, path: str, handler: Handler, *, needs: Needs, body: int = 0, refusal: Shape = plain
    ) -> None:
        """Add a route. `refusal` makes its 401 and 413, for routes whose clients expect a shape of their own."""
        self._routes.append(Route(method, path, handler, needs, body, refusal))

    def inspect(self, request: Request) -> Reply | int:
        """The refusal of a request, or how many bytes its body may have. For `http_server`, before the body is read."""
        found = self._find(request)
        if isinstance(found, Reply):
            return found
        route, _ = found
        if _length(request) > route.body:
            return route.refusal(413, f"the body may have {route.body} bytes")
        return route.body

    async def answer(self, request: Request) -> Reply:
        """The reply to a request."""
        found = self._find(request)
        if isinstance(found, Reply):
            return found
        route, call = found
        return await route.handler(call)

    def _find(self, request: Request) -> tuple[Route, Call] | Reply:
        if foreign := refuse_foreign(request, self._options.listen or ""):
            return foreign
        segments = request.path.split("/")
        fitting = [(route, values) for route in self._routes if (values := route.match(segments)) is not None]
        if not self._access.has_tokens:
            fitting = [each for each in fitting if each[0].needs is Needs.NOTHING]
        if not fitting:
            return self._unknown_path()
        method = "GET" if request.method == "HEAD" else request.method
        route, values = next((each for each in fitting if each[0].method == method), (None, {}))
        if route is None:
            return _wrong_method({each.method for each, _ in fitting})
        grant = self._access.grant(request, route.needs, values.get("token"))
        if grant is None:
            return self._unauthorised(route)
        cookie = self._access.cookie_for(request) if route.needs is Needs.READ else None
        return route, Call(request, values, grant, cookie)

    def _unknown_path(self) -> Reply:
        """Names paths without a named segment: those are what a person would type."""
        usable = [each for each in self._routes if self._access.has_tokens or each.needs is Needs.NOTHING]
        known = dict.fromkeys(each.path for each in usable if "{" not in each.path)
        more = "" if self._access.has_tokens else "; with a `token` in [http] there is more"
        return plain(404, f"there are {', '.join(known)}{more}")

    def _unauthorised(self, route: Route) -> Reply:
        refusal = route.refusal(401, "the token is missing or wrong")
        return msgspec.structs.replace(refusal, headers={**refusal.headers, "WWW-Authenticate": "Bearer"})


def _wrong_method(methods: set[str]) -> Reply:
    allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    return plain(405, f"only {' and '.join(allowed)} are answered", Allow=", ".join(allowed))


def _length(request: Request) -> int:
    """The announced length of the body; 0 when it comes in chunks. h11 has checked that it is a number."""
    return int(request.headers.get("content-length", "0"))
