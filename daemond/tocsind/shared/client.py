"""The connection to the engine: redis-py, which blocks, in a thread; one step at a time.

A step waits for its turn, for the connection (1 s) and for each answer (3 s), together no longer than STEP_SECONDS. A caller that gives up
leaves its thread behind. That thread ends by itself, within those times, and until then no other step begins: so steps reach the engine in
the order in which they were begun, and no two threads use one connection. redis-py closes a connection whose answer did not come; it
repeats nothing by itself.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import redis
import trio
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from tocsind.config.shared import EngineAddress
from tocsind.secret import Secret

from .engine import Cause, EngineAway

T = TypeVar("T")

CONNECT_SECONDS: Final = 1.0
COMMAND_SECONDS: Final = 3.0
STEP_SECONDS: Final = CONNECT_SECONDS + COMMAND_SECONDS
SENTINEL_SECONDS: Final = 0.7  # of three, two may be dead
CLOSE_SECONDS: Final = 0.2
_LOST: Final = {  # an engine that vanished: seconds of silence, between probes, probes; milliseconds without an acknowledgement
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: int(COMMAND_SECONDS * 1000),
}
_NO_ENGINE: Final = (
    InvalidResponse,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OverflowError,
    MemoryError,
)  # of the parser

_CAUSES: Final[tuple[tuple[type[Exception], str, Cause], ...]] = (  # the first whose text is in the error's
    (MasterNotFoundError, "", Cause.UNREACHABLE),
    (AuthenticationError, "", Cause.PASSWORD),
    (ResponseError, "unauthenticated", Cause.PASSWORD),  # Redis' answer to a long command, before NOAUTH
    (NoPermissionError, "", Cause.PERMISSION),
    (ResponseError, "The user executing the script can't ", Cause.PERMISSION),  # Redis 7.0, of a script's command
    (ResponseError, "ACL failure in script", Cause.PERMISSION),  # later ones
    (OutOfMemoryError, "", Cause.FULL),
    (ReadOnlyError, "", Cause.READ_ONLY),
    (BusyLoadingError, "", Cause.LOADING),
    (ResponseError, "MISCONF", Cause.UNSAVED),
    (ResponseError, "", Cause.REFUSES),
    (NotConnected, "max number of clients", Cause.REFUSES),
    (NotConnected, "", Cause.UNREACHABLE),
    (RedisError, "", Cause.SILENT),
    (OSError, "", Cause.UNREACHABLE),
)
_IN_OTHER_WORDS: Final[Mapping[type[Exception], str]] = {
    MasterNotFoundError: "no sentinel that answers knows a primary of this name"  # its text is the settings of each connection
}

_OF_SCRIPT: Final = re.compile(r",? script: [0-9a-f]{40}, on @user_script:\d+\.$")  # people know no script by its hash

Argument = str | bytes | int
Step = Callable[[redis.Redis], T]


class Client:
    """Use from any number of tasks, which take turns."""

    def __init__(self, address: EngineAddress) -> None:
        self._turn = trio.CapacityLimiter(1)
        self._redis = _redis(address)
        self._heard: PubSub | None = None
        self._channels: Sequence[str] = ()

    async def run(self, step: Step[T]) -> T:
        """Call a step in a thread, where it may block, and return its result. Raises EngineAway."""
        try:
            with trio.fail_after(STEP_SECONDS):
                return await trio.to_thread.run_sync(self._tried, step, abandon_on_cancel=True, limiter=self._turn)
        except trio.TooSlowError:
            raise EngineAway("no answer came in time") from None

    async def run_script(self, text: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        """The answer of a script. The engine learns its text when it does not have it. Raises EngineAway."""
        script = self._redis.register_script(text)
        return await self.run(lambda _: script(keys, arguments))

    async def hear(self, channels: Sequence[str]) -> list[tuple[str, str]] | None:
        """The next messages on these channels, each with its channel; None: it has just begun to listen. Raises EngineAway.

        For one task.
        """
        try:
            if self._heard is None or channels != self._channels:
                self._heard, self._channels = await self.run(partial(_subscribed, channels)), channels
                return None
            while True:
                await trio.lowlevel.wait_readable(_socket(self._heard))
                if found := await self.run(partial(_messages, self._heard)):
                    return found
        except EngineAway:
            self._heard = None
            raise

    async def aclose(self) -> None:
        """Close the connections; not that of a thread that was left behind and still runs."""
        with trio.move_on_after(CLOSE_SECONDS):
            await trio.to_thread.run_sync(self._close, limiter=self._turn)

    def _tried(self, step: Step[T]) -> T:
        """In a thread: a step, its errors as EngineAway. After any of them the next step connects again, to where the name leads then."""
        try:
            return step(self._redis)
        except _NO_ENGINE:
            away = EngineAway("it answers with something else than was asked for", Cause.STRANGER)
        except (RedisError, OSError) as error:
            away = _away(error)
        self._redis.connection_pool.disconnect(inuse_connections=False)
        raise away

    def _close(self) -> None:
        if self._heard is not None:
            self._heard.close()
            self._heard = None
        self._redis.close()


def _away(error: Exception) -> EngineAway:
    text = _OF_SCRIPT.sub("", _IN_OTHER_WORDS.get(type(error), str(error)))
    return EngineAway(text, next(cause for kind, part, cause in _CAUSES if isinstance(error, kind) and part in text))


def _redis(address: EngineAddress) -> redis.Redis:
    usual: dict[str, Any] = _limits(CONNECT_SECONDS, COMMAND_SECONDS) | {
        "db": address.database,
        "username": address.user,
        "password": _revealed(address.password),
    }
    if address.path:
        return redis.Redis(unix_socket_path=address.path, **usual)
    tcp: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": _LOST} | _tls(address)
    if not address.service:
        return redis.Redis(host=address.host, port=address.port, **usual, **tcp)
    asking = _limits(SENTINEL_SECONDS, SENTINEL_SECONDS) | _tls(address)
    asking["password"] = _revealed(address.sentinel_password)
    sentinel = Sentinel(address.sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    found: redis.Redis = sentinel.master_for(address.service, **usual, **tcp)  # type: ignore[no-untyped-call]
    return found


def _limits(connect: float, answer: float) -> dict[str, Any]:
    """No step takes longer than this (seconds), and none is repeated."""
    return {
        "socket_connect_timeout": connect,
        "socket_timeout": answer,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,  # CLIENT SETINFO, which a user of Redis 7.0 cannot be allowed
    }


def _tls(address: EngineAddress) -> dict[str, Any]:
    return {"ssl": True, "ssl_ca_certs": address.ca} if address.tls else {}


def _revealed(password: Secret | None) -> str | None:
    return password.reveal() if password else None


def _subscribed(channels: Sequence[str], client: redis.Redis) -> PubSub:
    """A subscription that the engine has confirmed: it may refuse one."""
    found = PubSub(client.connection_pool)
    try:
        found.subscribe(*channels)
        for _ in channels:
            found.get_message(timeout=COMMAND_SECONDS)
    except BaseException:
        found.close()
        raise
    return found


def _socket(heard: PubSub) -> socket.socket:
    """The subscription's socket, to wait for it without a thread: redis-py offers only to block. Raises EngineAway without one."""
    found: socket.socket | None = getattr(heard.connection, "_sock", None)
    if found is None:
        raise EngineAway("it closed the subscription", Cause.UNREACHABLE)
    return found


def _messages(heard: PubSub, _: redis.Redis) -> list[tuple[str, str]]:
    """The messages that have arrived, without waiting."""
    found = []
    while message := heard.get_message(timeout=0):
        if message["type"] == "message":
            found.append((message["channel"].decode(), message["data"].decode(errors="replace")))
    return found
