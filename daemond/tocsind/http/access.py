"""Who may do what over HTTP: names of this host, tokens, and the cookie of a browser.

    Host, Origin   must name this host, or a script of a foreign site could read and post through a browser on it (DNS rebinding)
    token          the `token` of the configuration permits everything; one of `tokens` permits sending to its destination
    where          `Authorization: Bearer`, the password of `Authorization: Basic`, the query `?token=`, or a segment of the path
    cookie         permits reading only, so that no page can post with it. Its value is made from the token, and is not the token. Browsers
                   ignore the port of a cookie, so its name has the port: two daemons on one host do not replace each other's

Tokens are compared in constant time, and the text of a refusal says nothing about them.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import repeat
from typing import Final
from urllib.parse import unquote

import msgspec

from tocsind.config import HttpOptions
from tocsind.host.loopback import is_loopback, is_loopback_origin
from tocsind.http_server import Reply, Request
from tocsind.secret import Secret

from .replies import plain

_COOKIE: Final = "tocsin"
_PURPOSE: Final = b"the cookie of tocsin's page"
_YEAR: Final = 365 * 86400


class Needs(Enum):
    """What a route asks of a request."""

    NOTHING = "nothing"
    READ = "read"
    """A token for everything, or the cookie made from it."""
    SEND = "send"
    """A token, in the request itself."""


class Grant(msgspec.Struct, frozen=True):
    """What a request may do. `only`: the one destination that its token permits; None: all."""

    only: str | None = None

    def permits(self, destination: str) -> bool:
        return self.only in {None, destination}


ALL: Final = Grant()


def refuse_foreign(request: Request, listen: str) -> Reply | None:
    """The 403 for a request whose Host is no name of this host, or that a page of another host sent."""
    if listen.startswith("/"):
        return None  # no browser reaches a Unix socket
    host, origin = request.headers.get("host"), request.headers.get("origin")
    if host is not None and not is_loopback(host):  # HTTP/1.0 needs none
        return plain(403, "the Host is no loopback name; use localhost or 127.0.0.1")
    if origin is not None and not is_loopback_origin(origin):
        return plain(403, "the Origin is no page of this host")
    return None


class Access:
    """Tells what a request may do."""

    def __init__(self, options: HttpOptions) -> None:
        self._token = options.token
        self._tokens: Mapping[str, Secret] = options.tokens

    @property
    def has_tokens(self) -> bool:
        """Whether any request can be permitted anything."""
        return bool(self._token or self._tokens)

    def grant(self, request: Request, needs: Needs, in_path: str | None = None) -> Grant | None:
        """What the request may do; None: not what the route needs. `in_path` is the token that the path carries."""
        if needs is Needs.NOTHING:
            return ALL
        found = self._grant_of(list(_tokens_in(request, in_path)))
        if needs is Needs.SEND:
            return found
        return ALL if found == ALL or self._has_cookie(request) else None

    def _grant_of(self, given: list[str]) -> Grant | None:
        """Compares with every token, so that the time reveals nothing about which one is near."""
        grants = [Grant(name) for name, token in self._tokens.items() if _is_among(token, given)]
        if self._token is not None and _is_among(self._token, given):
            return ALL
        return grants[0] if grants else None

    def _has_cookie(self, request: Request) -> bool:
        own = cookie_name(request)
        found = [value for name, value in _cookies(request) if name == own]
        return self._token is not None and any(
            hmac.compare_digest(_cookie_of(self._token).encode(), value.encode()) for value in found
        )

    def cookie_for(self, request: Request) -> str | None:
        """`Set-Cookie` for a request that carries the token in its query; None for every other one."""
        given = request.query.get("token")
        if self._token is None or given is None or not _is_among(self._token, [given]):
            return None
        return f"{cookie_name(request)}={_cookie_of(self._token)}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Strict"


def cookie_name(request: Request) -> str:
    """The cookie's name: with the port as the browser knows it, which may be that of a forwarded connection."""
    _, colon, port = request.headers.get("host", "").rpartition(":")
    return f"{_COOKIE}-{port}" if colon and port.isascii() and port.isdecimal() else _COOKIE


def _is_among(token: Secret, given: list[str]) -> bool:
    expected = token.reveal().encode()
    return any(list(map(hmac.compare_digest, repeat(expected), (each.encode() for each in given))))


def _tokens_in(request: Request, in_path: str | None) -> Iterator[str]:
    """The tokens that a request carries."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    elif kind.lower() == "basic":
        yield _password(value)
    if (query := request.query.get("token")) is not None:
        yield query
    if in_path is not None:
        yield unquote(in_path)


def _password(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _cookies(request: Request) -> Iterator[tuple[str, str]]:
    for each in request.headers.get("cookie", "").split(";"):
        name, _, value = each.strip().partition("=")
        yield name, value


def _cookie_of(token: Secret) -> str:
    return hmac.new(token.reveal().encode(), _PURPOSE, "sha256").hexdigest()
