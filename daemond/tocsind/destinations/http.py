"""The only module that imports httpx: a shared client whose every request ends in a value.

Two questions decide what the end of a request means. Was the request written to the far end? After a refused connection, an unresolved name
or a failed TLS handshake nothing was sent, so a retry cannot double anything (Deferred). Did a status come back? Without one the message
may or may not have arrived (Unknown). The kind of the exception does not answer the first question, because a read can fail in the middle
of a handshake: the transport's trace reports when the first byte of the request itself is written.

No text of an httpx exception leaves this module, because it contains the URL, and a webhook's URL is its password. All texts for people are
written here.

The pool has no upper bound on connections. httpx 0.28 with httpcore 1.0.9 assigns a connection to a request that waits in its queue, and
when that request is cancelled before it wakes, the connection has no owner: the slot is lost for good. Without a bound no request queues.
The daemon bounds connections itself: one request in flight per lane. Known and accepted: after a failed TLS handshake behind a proxy's
CONNECT, httpcore keeps a dead entry (no socket) until the client is closed.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, NamedTuple, Self

import httpx
import msgspec
import trio

from tocsind import __version__
from tocsind.policy.outcomes import Deferred, Refused, Unknown
from tocsind.secret import Secret

from .connect_errors import root_of
from .network_settings import NetworkSettings

USER_AGENT: Final = f"tocsin/{__version__} (+https://github.com/tocsin/tocsin)"
LARGEST_ANSWER: Final = 1024 * 1024  # bytes; Discord's answers have a few thousand, other servers may send anything

_CONNECT: Final = 5.0  # seconds for TCP, and again for TLS
_KEEPALIVE: Final = 60.0  # seconds that an idle connection stays open: alerts come in bursts
_MOST_IDLE: Final = 32  # connections; the pool closes idle ones once it holds more than this altogether
_FIRST_BYTE: Final = "http11.send_request_headers.started"

Failure = Deferred | Refused | Unknown
_UNUSABLE: Final = Refused("the URL cannot be used: please check it")


class Answer(msgspec.Struct, frozen=True):
    """An answer. Header names are lower case. `whole` is false when the connection ended, or the size limit was reached, within it."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    whole: bool = True

    def json(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def __repr__(self) -> str:
        # A webhook's answer to GET contains its token: show neither body nor headers.
        return f"Answer(status={self.status}, {len(self.body)} bytes{'' if self.whole else ', cut short'})"


class Body(NamedTuple):
    """The bytes of a request in parts, which are sent one after the other: joined, a large file would be in memory twice."""

    content_type: str
    parts: Sequence[bytes]


def json_body(value: object) -> Body:
    """A value as JSON: UTF-8, not escaped."""
    return Body("application/json", [msgspec.json.encode(value)])


class HttpClient:
    """Connections, shared by all destinations; an async context manager.

    Proxies and certificates come from `environment`; a request that they make impossible is deferred, with the reason. The client follows
    no redirect (it would send a token to another host), keeps no cookies and reads no .netrc.
    """

    def __init__(self, environment: NetworkSettings | None = None) -> None:
        silence()
        self._environment = NetworkSettings() if environment is None else environment
        self._tls = self._load_tls()  # at start: loading certificates takes a while
        self._clients: dict[tuple[str | None, bool], httpx.AsyncClient] = {}  # by proxy, and whether TLS works

    async def request(
        self,
        method: str,
        url: Secret,
        *,
        body: Body | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        deadline: float = 15.0,
    ) -> Answer | Failure:
        """Send one request. `headers` replace those of the client. `deadline` is in seconds and covers everything."""
        exchange = _Exchange()
        try:
            client = self._client_for(url.reveal())
            if isinstance(client, Deferred):
                return client
            request = _request(client, _Outgoing(method, url, body, headers or {}, deadline), exchange.trace)
        except (httpx.InvalidURL, ValueError):  # a host name that IDNA cannot read
            return _UNUSABLE
        try:
            with trio.move_on_after(deadline):
                await exchange.run(client, request)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
            return _UNUSABLE
        except httpx.HTTPError as error:
            return exchange.ended(_translated(error))
        return exchange.ended(f"no answer within {deadline:g} s")

    async def connect(self, url: Secret, deadline: float = 15.0) -> Failure | None:
        """Connect to a URL's server, with TLS and through the proxy as a request would, and send nothing. None: it works."""
        try:
            client = self._client_for(url.reveal())
            if isinstance(client, Deferred):
                return client
            request = _request(client, _Outgoing("POST", url, None, {}, deadline), _stop_before_sending)
        except (httpx.InvalidURL, ValueError):
            return _UNUSABLE
        try:
            with trio.move_on_after(deadline):
                await client.send(request)
        except _Connected:
            return None
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
            return _UNUSABLE
        except httpx.HTTPError as error:
            return _unsent(_translated(error))
        return _unsent(f"no connection within {deadline:g} s")

    def _client_for(self, url: str) -> httpx.AsyncClient | Deferred:
        """The client for this URL, or why there is none. Raises ValueError for an invalid URL."""
        proxy = self._environment.proxy_for(url)
        if proxy and proxy.problem:
            return _unsent(proxy.problem)
        if self._tls is None and url.startswith("https:"):
            self._tls = self._load_tls()  # the operator may have repaired it
            if self._tls is None:
                return _unsent(self._environment.certificate_problem() or "TLS does not work")
        through = None if proxy is None else proxy.url.reveal()
        key = through, self._tls is not None
        if key not in self._clients:
            try:
                self._clients[key] = _client(self._tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), through)
            except (ImportError, ValueError, httpx.InvalidURL):
                assert proxy is not None, "without a proxy there is nothing that could be wrong"
                return _unsent(f"{proxy.variable} cannot be used")
        return self._clients[key]

    def _load_tls(self) -> ssl.SSLContext | None:
        try:
            return self._environment.tls()
        except OSError:
            return None

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Exchange:
    """One request in flight: what is known so far, so that its outcome is known whenever it ends."""

    def __init__(self) -> None:
        self._sent = False
        self._whole = False
        self._head: tuple[int, dict[str, str]] | None = None
        self._body = bytearray()

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        # A proxy's CONNECT carries nothing of the request yet.
        if event == _FIRST_BYTE and info["request"].method != b"CONNECT":
            self._sent = True

    async def run(self, client: httpx.AsyncClient, request: httpx.Request) -> None:
        response = await client.send(request, stream=True)
        try:
            self._head = response.status_code, dict(response.headers.items())
            await self._read(response)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> None:
        # Cancelling instead of leaving the loop: httpx nests async generators, and only an exception from the innermost closes them all.
        with trio.CancelScope() as enough:
            async for chunk in response.aiter_raw():
                self._body += chunk[: LARGEST_ANSWER - len(self._body) + 1]
                if len(self._body) > LARGEST_ANSWER:
                    enough.cancel()
        self._whole = len(self._body) <= LARGEST_ANSWER and not enough.cancelled_caught

    def ended(self, why: str) -> Answer | Failure:
        """The outcome. A known status is the answer, even when the body is incomplete; `why` is for the other cases."""
        if self._head is not None:
            return Answer(*self._head, bytes(self._body[:LARGEST_ANSWER]), self._whole)
        if self._sent:
            return Unknown(f"{why}: it may have arrived")
        return _unsent(why)


class _Connected(Exception):  # noqa: N818 - the end that was wanted
    """The first byte of a request would be sent now."""


async def _stop_before_sending(event: str, info: Mapping[str, Any]) -> None:
    if event == _FIRST_BYTE and info["request"].method != b"CONNECT":
        raise _Connected


def _unsent(why: str) -> Deferred:
    return Deferred(f"{why}: nothing was sent", unsent=True)


# A filter does not reach the loggers below, so each is named.
_LOGGERS: Final = (
    "httpx",
    "httpcore",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


def silence() -> None:
    """Both libraries log full URLs: none of their records may reach a handler, whatever is configured later."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        logger.addFilter(_nothing)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _client(verify: ssl.SSLContext, proxy: str | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=verify,
        proxy=proxy,
        trust_env=False,  # `network_settings` reads the variables
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # accepts none
        # No content coding: a body is no longer than what came over the wire.
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=_MOST_IDLE, keepalive_expiry=_KEEPALIVE),
    )


_parsed = lru_cache(maxsize=64)(httpx.URL)  # a destination's URL is the same for every message

_Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


def _headers(body: Body | None, further: Mapping[str, str | Secret]) -> dict[str, str]:
    own = {"Content-Type": body.content_type, "Content-Length": str(sum(map(len, body.parts)))} if body else {}
    return own | {name: each.reveal() if isinstance(each, Secret) else each for name, each in further.items()}


class _Outgoing(NamedTuple):
    """A request, before it is given to a client."""

    method: str
    url: Secret
    body: Body | None
    headers: Mapping[str, str | Secret]
    deadline: float


def _request(client: httpx.AsyncClient, outgoing: _Outgoing, trace: _Trace) -> httpx.Request:
    # TCP and TLS together end before the deadline does: httpcore leaves the socket of a cancelled handshake open.
    connect = min(_CONNECT, 0.45 * outgoing.deadline)
    request = client.build_request(
        outgoing.method,
        _parsed(outgoing.url.reveal()),
        headers=_headers(outgoing.body, outgoing.headers),
        timeout=httpx.Timeout(outgoing.deadline, connect=connect),
        extensions={"trace": trace},
    )
    request.stream = _Stream(outgoing.body.parts if outgoing.body else ())
    return request


class _Stream(httpx.AsyncByteStream):
    """A request's body. httpx's own is an async generator, which a cancelled write leaves unfinished."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._parts)


class _Once(AsyncIterator[bytes]):
    def __init__(self, parts: Sequence[bytes]) -> None:
        self._left = list(reversed(parts))

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


_MESSAGES: Final[tuple[tuple[type[httpx.HTTPError], str], ...]] = (
    (httpx.ConnectTimeout, "connecting took too long"),
    (httpx.PoolTimeout, "no free connection"),
    (httpx.ProxyError, "the proxy refused"),
    (httpx.ReadTimeout, "no answer in time"),
    (httpx.WriteTimeout, "sending took too long"),
    (httpx.RemoteProtocolError, "the connection ended without a proper answer"),
    (httpx.NetworkError, "the connection was lost"),
)


def _translated(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError):
        return f"cannot connect ({root_of(error)})"
    return next((words for kind, words in _MESSAGES if isinstance(error, kind)), "the request failed")
