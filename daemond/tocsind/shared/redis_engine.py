"""The engine on Redis or Valkey (`engine.Engine`): each method is one script or command, and commands go one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from math import isfinite
from typing import Final, TypeVar

import trio

from tocsin.ids import new_id
from tocsind.config.shared import EngineAddress

from . import scripts
from .engine import (
    LEASE_MS,
    MAX_HOSTS,
    MAX_MISSING,
    MAX_REQUESTS,
    MAX_STORIES,
    MISSING_MS,
    NOTE_KEPT_MS,
    SEEN_MS,
    SETTLING_MS,
    Done,
    EngineAway,
    Item,
    Learned,
    Noted,
    Settled,
    Stored,
    Tended,
)
from .resp import Answer, Argument, CommandFailed, Connection

T = TypeVar("T")

NEWS_KEPT_MS: Final = 30 * 86_400_000  # for a host that is away
OLDEST: Final = (7, 0)


class RedisEngine:
    """Use from any number of tasks; they take turns. `wait` has a connection of its own."""

    def __init__(self, address: EngineAddress) -> None:
        self.address = address
        self._turn = trio.Lock()
        self._connection: Connection | None = None
        self._subscribed: Connection | None = None
        self._channels: tuple[str, ...] = ()

    # --- the engine's steps ---------------------------------------------------------------------------------------------

    async def tend(self, target: str, host: str, *, token: str, wants: bool) -> Tended:
        arguments = (host, token, int(wants), LEASE_MS, SETTLING_MS, SEEN_MS, new_id())
        held, now, epoch, hosts = _list(
            await self._run(scripts.TEND, _keys(target, "lease", "fence", "epoch", "hosts"), arguments)
        )
        return Tended(_text(held), _int(now), _text(epoch), _int(hosts))

    async def release(self, target: str, token: str) -> None:
        await self._run(scripts.RELEASE, _keys(target, "lease"), (token, _channel(target)))

    async def offer(self, target: str, host: str, items: Sequence[Item]) -> None:
        given = [value for item in items for value in (item.id, item.priority, item.body)]
        keys = _keys(target, "at", f"news:{host}", *_STREAMS)
        await self._run(scripts.OFFER, keys, (_channel(target), *given))

    async def read(self, target: str, priority: int, after: str, most: int) -> list[Stored]:
        keys = _keys(target, _STREAMS[priority], "open")
        found = _list(await self._run(scripts.READ, keys, (f"({after}" if after else "-", most)))
        rows = map(_list, found)
        return [Stored(_text(place), _text(id_), _bytes(body), bool(tried)) for place, id_, body, tried in rows]

    async def begin(
        self, target: str, token: str, ids: Sequence[str], foreign: Sequence[str], request: str
    ) -> list[str] | None:
        keys = _keys(target, "lease", "open", "at", "asked")
        answer = await self._run(scripts.BEGIN, keys, (token, request, len(ids), *ids, *foreign))
        return None if answer is None else list(map(_text, _list(answer)))

    async def settle(self, target: str, token: str, settled: Settled) -> None:
        news = [f"news:{each.origin}" for each in settled.done]
        keys = _keys(target, "lease", "open", "at", "asked", "state", *_STREAMS, "stories", *news)
        counts = (MAX_REQUESTS, len(settled.done), len(settled.waiting), NEWS_KEPT_MS, MAX_STORIES)
        given: list[Argument] = [value for each in settled.done for value in (each.id, each.result)]
        given += [*settled.waiting, *(value for pair in settled.state.items() for value in pair)]
        head = (token, settled.request or "", int(settled.unsent), _channel(target), *counts)
        await self._run(scripts.SETTLE, keys, (*head, *given))

    async def news(self, target: str, host: str, most: int) -> list[Done]:
        (key,) = _keys(target, f"news:{host}")
        found: list[Done] = []
        cursor = "0"
        while True:
            place, pairs = _list(await self._call("HSCAN", key, cursor, "COUNT", most))
            flat, cursor = _list(pairs), _text(place)
            found += [Done(_text(id_), host, _bytes(end)) for id_, end in zip(flat[::2], flat[1::2], strict=True)]
            if cursor == "0" or len(found) >= most:
                return found

    async def forget(self, target: str, host: str, ids: Sequence[str]) -> None:
        (key,) = _keys(target, f"news:{host}")
        await self._call("HDEL", key, *ids)

    async def learned(self, target: str) -> Learned:
        state, asked = map(_list, _list(await self._run(scripts.LEARNED, _keys(target, "state", "asked"), ())))
        known = {_text(name): _bytes(value) for name, value in zip(state[::2], state[1::2], strict=True)}
        scores = [(_text(name), float(_text(at))) for name, at in zip(asked[::2], asked[1::2], strict=True)]
        requests = [(name, int(at)) for name, at in scores if isfinite(at)]
        return Learned(known, requests)

    async def report(self, target: str, requests: Mapping[str, int]) -> None:
        if requests:
            (key,) = _keys(target, "asked")
            await self._call("ZADD", key, "NX", *(value for name, at in requests.items() for value in (at, name)))

    async def quarantine(self, target: str, priority: int, stored: Stored) -> None:
        keys = _keys(target, _STREAMS[priority], "at", "bad")
        await self._run(scripts.QUARANTINE, keys, (stored.place, stored.id, stored.body))

    async def note(self, host: str, note: bytes) -> list[Noted]:
        arguments = (host, note, NOTE_KEPT_MS, MISSING_MS, MAX_HOSTS, MAX_MISSING)
        return _noted(await self._run(scripts.NOTE, _keys("hosts", "seen", "notes"), arguments))

    async def hosts(self) -> list[Noted]:
        return _noted(await self._run(scripts.HOSTS, _keys("hosts", "seen", "notes"), ()))

    async def claim(self, about: str, host: str, seconds: float) -> bool:
        (key,) = _keys("hosts", f"told:{about}")
        before = await self._call("SET", key, host, "NX", "GET", "PX", int(seconds * 1000))
        return before is None or _text(before) == host

    async def wait(self, targets: Sequence[str]) -> None:
        channels = tuple(map(_channel, targets))
        try:
            if self._subscribed is None or channels != self._channels:
                await self._subscribe(channels)
            assert self._subscribed is not None, "it was just made"
            await self._subscribed.push()
        except (EngineAway, CommandFailed) as error:
            self._subscribed = None
            raise EngineAway(str(error)) from None

    async def complaints(self) -> list[str]:
        found = []
        server, persistence, memory = [
            _info(await self._call("INFO", section)) for section in ("server", "persistence", "memory")
        ]
        version = server.get("redis_version", "0.0")
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            found.append(f"the engine is version {version}; it needs Redis 7.0 or Valkey 7.2")
        if persistence.get("aof_enabled") != "1":
            found.append(
                "the engine keeps no append-only file (appendonly yes): its end loses what it holds; hosts send it again"
            )
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            found.append(f"the engine may evict what waits: maxmemory-policy is {policy}, and has to be noeviction")
        return found

    async def aclose(self) -> None:
        for connection in (self._connection, self._subscribed):
            if connection is not None:
                await connection.aclose()
        self._connection = self._subscribed = None

    # --- connections ------------------------------------------------------------------------------------------------------

    async def _subscribe(self, channels: tuple[str, ...]) -> None:
        if self._subscribed is not None:
            await self._subscribed.aclose()
        self._subscribed, self._channels = await Connection.open(self.address), channels
        await self._subscribed.call("SUBSCRIBE", channels[0])
        for channel in channels[1:]:
            await self._subscribed.call("SUBSCRIBE", channel)

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Answer:
        """Run a script; the engine learns its text when it does not have it."""
        rest: list[Argument] = [len(keys), *keys, *arguments]
        async with self._connected() as connection:
            try:
                return await connection.call("EVALSHA", _digest(script), *rest)
            except CommandFailed as failed:
                if not str(failed).startswith("NOSCRIPT"):
                    raise
                return await connection.call("EVAL", script, *rest)

    async def _call(self, *arguments: Argument) -> Answer:
        async with self._connected() as connection:
            return await connection.call(*arguments)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """The connection, for one step. One that failed is not used again."""
        async with self._turn:
            if self._connection is None:
                self._connection = await Connection.open(self.address)
            whole = False
            try:
                yield self._connection
                whole = True
            except CommandFailed as failed:
                raise EngineAway(f"the engine refuses a command: {failed}") from None
            finally:
                if not whole:
                    connection, self._connection = self._connection, None
                    if connection is not None:
                        await connection.aclose()


_STREAMS: Final = ("s0", "s1", "s2", "s3")
_DIGESTS: dict[str, str] = {}


def _digest(script: str) -> str:
    if script not in _DIGESTS:
        _DIGESTS[script] = sha1(script.encode()).hexdigest()  # noqa: S324 - the name by which Redis knows a script
    return _DIGESTS[script]


def _keys(target: str, *names: str) -> list[str]:
    return [f"tocsin:{{{target}}}:{name}" for name in names]


def _channel(target: str) -> str:
    return f"tocsin:{{{target}}}:wake"


def _noted(answer: Answer) -> list[Noted]:
    rows = map(_list, _list(answer))
    return [Noted(_text(host), _int(at), _int(ago), _bytes(note)) for host, at, ago, note in rows]


def _list(answer: Answer) -> list[Answer]:
    return _typed(answer, list)


def _bytes(answer: Answer) -> bytes:
    return _typed(answer, bytes)


def _int(answer: Answer) -> int:
    return _typed(answer, int)


def _text(answer: Answer) -> str:
    return _bytes(answer).decode(errors="replace")


def _typed(answer: Answer, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise EngineAway("the engine answers with something else than was asked for")
    return answer


def _info(answer: Answer) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(answer).splitlines())
    return {name: value for name, found, value in lines if found}
