"""The engine on Redis or Valkey (`engine.Engine`): each method is one script or command, and they go one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import isfinite
from typing import Any, Final, TypeVar

import redis
import trio

from tocsin.ids import new_id
from tocsind.config.shared import EngineAddress

from . import scope_scripts, scripts, trial
from .client import Argument, Client
from .engine import (
    FULL_MS,
    GONE_MS,
    KEPT_ASIDE_MS,
    LARGEST_BODY,
    LARGEST_NOTE,
    LARGEST_STATE,
    LEASE_MS,
    LONGEST_ID,
    MAX_BAD,
    MAX_HOSTS,
    MAX_MISSING,
    MAX_REQUESTS,
    MAX_STORIES,
    MISSING_MS,
    NOTE_KEPT_MS,
    SEEN_MS,
    SETTLING_MS,
    UNKNOWN_START,
    Account,
    Cause,
    Done,
    EngineAway,
    Item,
    Learned,
    Noted,
    Question,
    Refused,
    Room,
    Seen,
    Settled,
    Start,
    Stored,
    Tended,
)

T = TypeVar("T")

NEWS_KEPT_MS: Final = 30 * 86_400_000  # for a host that is away
STRANGE: Final = "it answers with something else than was asked for"
TOO_OLD: Final = "the engine is too old: "
FORBIDDEN: Final = "the engine's user may not run "


class RedisEngine:
    """Use from any number of tasks; they take turns."""

    def __init__(self, address: EngineAddress) -> None:
        self.address = address
        self._client = Client(address)
        self.aclose = self._client.aclose

    # --- the engine's steps ---------------------------------------------------------------------------------------------

    async def tend(
        self,
        target: str,
        host: str,
        *,
        token: str,
        wants: bool,
        alone: bool = False,
        trouble: bytes = b"",
        start: Start = UNKNOWN_START,
    ) -> Tended:
        keys = _keys(target, "lease", "fence", "epoch", "hosts", "trouble", "witnesses", "past", "starts")
        times = (LEASE_MS, SETTLING_MS, SEEN_MS)
        arguments = (host, token, int(wants), *times, new_id(), int(alone), trouble, start.packed)
        held, now, epoch, seen, young, notes, missing, other = _row(8, await self._run(scripts.TEND, keys, arguments))
        troubles = {_text(name): _bytes(note) for name, note in _pairs(notes)}
        names = list(map(_text, _list(seen)))
        known = _text(held), _int(now), _text(epoch), names, bool(young), troubles, _int(missing)
        return Tended(*known, _refused(other))

    async def release(self, target: str, token: str) -> None:
        await self._run(scripts.RELEASE, _keys(target, "lease"), (token, _channel(target)))

    async def leave(self, target: str, host: str, start: Start) -> None:
        await self._run(scripts.LEAVE, _keys(target, "starts"), (host, start.token, start.ended.packed))

    async def offer(self, target: str, host: str, items: Sequence[Item]) -> None:
        # redis-py writes the repr of an enum, so the priority is made an integer
        given = [value for item in items for value in (item.id, int(item.priority), item.body, item.epoch)]
        keys = _keys(target, "at", f"news:{host}", *_STREAMS)
        await self._run(scripts.OFFER, keys, (_channel(target), *given))

    async def look(
        self, target: str, host: str, after: Mapping[int, str] | None, most: int, start: Start = UNKNOWN_START
    ) -> Seen:
        keys = _keys(target, f"news:{host}", "open", "epoch", "witnesses", "past", *_STREAMS, "starts")
        begins = [""] * 4 if after is None else [f"({after[n]}" if after.get(n) else "-" for n in range(4)]
        arguments: list[Argument] = [most, LONGEST_ID, LARGEST_BODY, *begins, host, start.token]
        news, items, is_all = _row(3, await self._run(scripts.LOOK, keys, arguments))
        return Seen(
            [Done(_text(id_), host, _bytes(end)) for id_, end in _pairs(news)],
            [
                (
                    _int(priority),
                    Stored(_text(place), _text(id_), _bytes(body), bool(tried), bool(lapsed), _host(tried)),
                )
                for priority, place, id_, body, tried, lapsed in map(partial(_row, 6), _list(items))
            ],
            bool(is_all),
        )

    async def begin(
        self, target: str, token: str, ids: Sequence[str], foreign: Sequence[str], request: str, *, copies: bool = True
    ) -> list[str] | None:
        keys = _keys(target, "lease", "open", "at", "asked")
        answer = await self._run(scripts.BEGIN, keys, (token, request, int(copies), len(ids), *ids, *foreign))
        return None if answer is None else list(map(_text, _list(answer)))

    async def settle(self, target: str, token: str, settled: Settled) -> None:
        news = [f"news:{each.origin}" for each in settled.done]
        keys = _keys(target, "lease", "open", "at", "asked", "state", *_STREAMS, "stories", *news)
        counts = (MAX_REQUESTS, len(settled.done), len(settled.waiting), NEWS_KEPT_MS, MAX_STORIES)
        given: list[Argument] = [value for each in settled.done for value in (each.id, each.result, int(each.arrived))]
        given += [value for id_ in settled.waiting for value in (id_, int(id_ in settled.doubtful))]
        given += [value for pair in settled.state.items() for value in pair]
        head = (token, settled.request or "", int(settled.unsent), _channel(target), *counts)
        await self._run(scripts.SETTLE, keys, (*head, *given))

    async def forget(self, target: str, host: str, ids: Sequence[str]) -> None:
        (key,) = _keys(target, f"news:{host}")
        await self._on([key], self._client.run(lambda client: client.hdel(key, *ids)))

    async def withdraw(self, target: str, ids: Sequence[str]) -> dict[str, bool]:
        found = await self._run(scripts.WITHDRAW, _keys(target, "at", "open", *_STREAMS), ids)
        return {_text(id_): bool(doubt) for id_, doubt in _pairs(found)}

    async def learned(self, target: str) -> Learned:
        keys, limits = _keys(target, "state", "asked"), (LARGEST_STATE, MAX_REQUESTS)
        state, asked = _row(2, await self._run(scripts.LEARNED, keys, limits))
        return Learned({_text(name): _bytes(value) for name, value in _pairs(state)}, _requests(asked))

    async def account(self, target: str, host: str, account: Account) -> None:
        keys = _keys(target, "epoch", "witnesses", "past", "open")
        counts = len(account.senders), len(account.open)
        head = (host, account.epoch, account.before, *counts, account.token)
        await self._run(scripts.ACCOUNT, keys, (*head, *account.senders, *account.open, *account.doubtful))

    async def report(self, target: str, requests: Mapping[str, int]) -> None:
        if requests:
            (key,) = _keys(target, "asked")
            await self._on([key], self._client.run(lambda client: client.zadd(key, requests, nx=True)))

    async def ask(self, scope: str, question: Question) -> Room:
        times = (SETTLING_MS, SEEN_MS, GONE_MS, FULL_MS, scope_scripts.KEPT_MS)
        head = (question.host, question.request, int(question.takes), int(question.expedited), question.epoch)
        windows = [number for window in question.windows for number in window]
        keys = _keys(scope, "log", "since", "hosts", "urgent", "limit")
        answer = await self._run(scope_scripts.ASK, keys, (*head, *times, new_id(), int(question.alone), *windows))
        wait, now, epoch, hosts, state, log = _row(6, answer)
        return Room(_int(wait), _int(now), _text(epoch), _int(hosts), _requests(log), _bytes(state))

    async def answered(self, scope: str, request: str, ago: int | None) -> None:
        await self._run(scope_scripts.ANSWERED, _keys(scope, "log"), (request, _or_none(ago), MAX_REQUESTS))

    async def recall(self, scope: str, requests: Mapping[str, int | None]) -> None:
        given = [value for name, ago in requests.items() for value in (name, _or_none(ago))]
        await self._run(scope_scripts.RECALL, _keys(scope, "log"), given)

    async def teach(self, scope: str, state: bytes) -> None:
        (key,) = _keys(scope, "limit")
        await self._client.run(lambda client: client.set(key, state, px=scope_scripts.KEPT_MS))

    async def quarantine(self, target: str, priority: int, stored: Stored) -> None:
        keys = _keys(target, _STREAMS[priority], "at", "bad")
        item = (stored.place, stored.id, stored.body, int(priority))
        await self._run(scripts.QUARANTINE, keys, (*item, MAX_BAD, KEPT_ASIDE_MS))

    async def note(
        self, host: str, note: bytes, start: Start = UNKNOWN_START, *, leaves: bool = False
    ) -> list[Noted] | Refused:
        limits = (NOTE_KEPT_MS, MISSING_MS, MAX_HOSTS, MAX_MISSING, LARGEST_NOTE)
        arguments = (host, note, *limits, start.packed, SEEN_MS, start.ended.packed if leaves else "")
        keys = _keys("hosts", "seen", "notes", "starts")
        other, missing = _row(2, await self._run(scripts.NOTE, keys, arguments))
        return _refused(other) or _noted(missing)

    async def hosts(self) -> list[Noted]:
        return _noted(await self._run(scripts.HOSTS, _keys("hosts", "seen", "notes"), (LARGEST_NOTE,)))

    async def claim(self, about: str, host: str, seconds: float) -> bool:
        (key,) = _keys("hosts", f"told:{about}")
        milliseconds = int(seconds * 1000)
        claim = self._client.run(lambda client: client.set(key, host, nx=True, get=True, px=milliseconds))
        before = await self._on([key], claim)
        return before is None or _text(before) == host

    async def wait(self, targets: Sequence[str], host: str) -> Collection[str]:
        channels = {_channel(target): target for target in targets}
        while True:
            heard = await self._client.hear(list(channels))
            if heard is None:  # it did not listen before
                return targets
            if found := {channels[name] for name, about in heard if name in channels and _concerns(about, host)}:
                return found

    async def try_out(self, name: str) -> None:
        try:
            await self._client.run(
                lambda client: client.script_load(scripts.RELEASE)
            )  # the engine may have all now, and forget
            await trial.take_all_steps(self, name)
        except EngineAway as away:
            if away.cause is Cause.PERMISSION and (lacking := await self._forbidden(name)):
                raise EngineAway(f"its user may not run {lacking}", Cause.PERMISSION) from None
            raise
        finally:
            with trio.CancelScope(shield=True), suppress(EngineAway):
                keys = _keys(name, *_KINDS, *_OTHER_KINDS, f"news:{name}") + _keys("hosts", f"told:{name}")
                await self._client.run(lambda client: client.delete(*keys))

    async def _forbidden(self, name: str) -> str:
        """The commands that the user may not run, as text; empty when there are none, or when that cannot be asked."""
        with suppress(EngineAway):
            found = await self._client.run_script(trial.FORBIDDEN_COMMANDS, _keys(name, "all"), ())
            return ", ".join(map(_text, _list(found)))
        return ""

    async def complaints(self) -> list[str]:
        found = []
        info = await self._client.run(_info)
        if lacking := await self._forbidden(f"commands-{new_id()}"):
            found.append(f"{FORBIDDEN}{lacking}: steps that need it will fail")
        if is_too_old(info):
            name, version = _name_and_version(info)
            found.append(f"{TOO_OLD}it is {name} {version}; it has to be Redis 7.0 or Valkey 7.2, or later")
        if not info.get("aof_enabled"):
            found.append(
                "the engine keeps no append-only file (appendonly yes): its end loses what it holds; hosts send it again"
            )
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            found.append(f"the engine may evict what waits: maxmemory-policy is {policy}, and has to be noeviction")
        return found

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        return await self._on(keys, self._client.run_script(script, keys, arguments))

    async def _on(self, keys: Sequence[str], step: Awaitable[T]) -> T:
        """Run a script on the keys of one target or scope and return its answer. A key of a wrong type is put aside first."""
        try:
            return await step
        except EngineAway as away:
            if "WRONGTYPE" in str(away):
                await self._put_aside(keys)
            raise

    async def _put_aside(self, keys: Sequence[str]) -> None:
        """Rename keys of a wrong type. The target has lost its items then; hosts hand them over again."""
        start = keys[0][: keys[0].index("}:") + 2]
        is_target = not start.startswith(("tocsin:{scope-", "tocsin:{hosts}"))
        kinds = _KINDS if is_target else _OTHER_KINDS
        named = {**{f"{start}{name}": kind for name, kind in kinds.items()}, **dict.fromkeys(keys, "hash")}
        named |= {key: kind for key in keys if (kind := kinds.get(key.removeprefix(start)))}
        named |= {key: "string" for key in keys if key.startswith(f"{start}told:")}
        arguments: list[Argument] = [*named.values(), int(is_target), KEPT_ASIDE_MS]
        aside = _list(await self._client.run_script(scripts.PUT_ASIDE, list(named), arguments))
        if aside:
            names = ", ".join(map(_text, aside))
            aside_at = f"something else was at {names} in the engine; it is put aside there, with :wrong at its end"
            raise EngineAway(aside_at, Cause.REFUSES)


_STREAMS: Final = ("s0", "s1", "s2", "s3")
_KINDS: Final = {
    **dict.fromkeys(_STREAMS, "stream"),
    **dict.fromkeys(("lease", "fence"), "string"),
    **dict.fromkeys(("hosts", "asked", "stories"), "zset"),
    **dict.fromkeys(("epoch", "trouble", "starts", "witnesses", "past", "at", "open", "state", "bad"), "hash"),
}
_OTHER_KINDS: Final = {  # of a scope, and of the notes of hosts
    **dict.fromkeys(("urgent", "limit"), "string"),
    **dict.fromkeys(("log", "hosts", "seen"), "zset"),
    **dict.fromkeys(("since", "notes", "starts"), "hash"),
}


def _keys(target: str, *names: str) -> list[str]:
    return [f"tocsin:{{{target}}}:{name}" for name in names]


def _channel(target: str) -> str:
    return f"tocsin:{{{target}}}:wake"


def _host(token: object) -> str:
    """The host that a token proves; empty for None."""
    return "" if token is None else _text(token).partition(":")[0]


def _refused(answer: object) -> Refused | None:
    return Refused(_int(row[0]), bool(row[1])) if (row := _list(answer)) else None


def _noted(answer: object) -> list[Noted]:
    rows = map(partial(_row, 4), _list(answer))
    return [Noted(_text(host), _int(at), _int(ago), _bytes(note)) for host, at, ago, note in rows]


def _concerns(about: str, host: str) -> bool:
    """Whether a wake-up is for this host: one about news names the hosts that have some."""
    kind, *hosts = about.split()
    return kind != "done" or host in hosts


def _info(client: redis.Redis) -> dict[str, Any]:
    return {**client.info("server"), **client.info("persistence"), **client.info("memory")}


def _requests(answer: object) -> list[tuple[str, int]]:
    """Requests with the times of their answers, without those that have no time."""
    return [(_text(name), int(at)) for name, score in _pairs(answer) if isfinite(at := _float(score))]


def _or_none(ago: int | None) -> Argument:
    return "" if ago is None else ago


def is_too_old(info: Mapping[str, Any]) -> bool:
    """Whether an engine that says this of itself lacks commands or options that are used."""
    name, version = _name_and_version(info)
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return tuple(numbers) < ((7, 2) if name == "Valkey" else (7, 0))


def _name_and_version(info: Mapping[str, Any]) -> tuple[str, str]:
    """Valkey says for Redis' clients that it is Redis 7.2."""
    if "valkey_version" in info:
        return "Valkey", str(info["valkey_version"])
    return "Redis", str(info.get("redis_version", "0.0"))


def _list(answer: object) -> list[object]:
    return _typed(answer, list)


def _row(length: int, answer: object) -> list[object]:
    row = _list(answer)
    if len(row) != length:
        raise EngineAway(STRANGE, Cause.STRANGER)
    return row


def _pairs(answer: object) -> list[tuple[object, object]]:
    flat = _list(answer)
    return list(zip(flat[::2], flat[1::2], strict=False))


def _float(answer: object) -> float:
    try:
        return float(_text(answer))
    except ValueError:
        raise EngineAway(STRANGE, Cause.STRANGER) from None


def _bytes(answer: object) -> bytes:
    return _typed(answer, bytes)


def _int(answer: object) -> int:
    return _typed(answer, int)


def _text(answer: object) -> str:
    return _bytes(answer).decode(errors="replace")


def _typed(answer: object, kind: type[T]) -> T:
    if not isinstance(answer, kind):
        raise EngineAway(STRANGE, Cause.STRANGER)
    return answer
