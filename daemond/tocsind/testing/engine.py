"""The engine that hosts share, in memory: the same steps as the scripts, on trio's clock. `away` makes every method fail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from math import inf

import trio

from tocsin.ids import new_id
from tocsind.shared.engine import (
    ENDED,
    LEASE_MS,
    MAX_BAD,
    MAX_HOSTS,
    MAX_MISSING,
    MAX_REQUESTS,
    MISSING_MS,
    NOTE_KEPT_MS,
    SEEN_MS,
    SETTLING_MS,
    UNKNOWN_START,
    Account,
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

from .engine_scope import MemoryScope


class _Target:
    def __init__(self) -> None:
        self.epoch, self.made, self.run = "", 0, 0
        self.witnesses: dict[str, str] = {}
        self.past: set[str] = set()
        self.token, self.ends, self.fence = "", 0, 0
        self.hosts: dict[str, int] = {}
        self.troubles: dict[str, bytes] = {}
        self.starts: dict[str, Start] = {}
        self.streams: tuple[dict[str, Item], ...] = ({}, {}, {}, {})
        self.at: dict[str, tuple[int, str]] = {}
        self.open: dict[str, str] = {}
        self.asked: dict[str, float] = {}
        self.state: dict[str, bytes] = {}
        self.bad: dict[str, bytes] = {}
        self.news: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.last = 0

    def holds(self, token: str, now: int) -> bool:
        return bool(token) and self.token == token and now < self.ends

    def missing(self) -> int:
        return sum(epoch != self.epoch for epoch in self.witnesses.values())

    def lapsed(self, epoch: str) -> bool:
        return epoch != self.epoch and (self.missing() > 0 or epoch not in self.past)

    def count_up(self, run: int, now: int) -> bool:
        """Begin another epoch when the server is another one. Whether it is."""
        if self.epoch and self.run == run:
            return False
        if self.epoch:
            if self.missing():
                self.past.clear()
            self.past.add(self.epoch)
            recent = max(self.hosts.values(), default=0) - SEEN_MS
            self.witnesses = {host: "" for host, at in self.hosts.items() if at >= recent}
            start, _, count = self.epoch.rpartition(".")
            self.epoch, self.ends = f"{start}.{int(count) + 1}", now + LEASE_MS if now < self.ends else 0
        else:
            self.epoch = f"{new_id()}.0"
        self.made, self.run = now, run
        return True


class MemoryEngine:
    """One engine for all hosts of a test."""

    def __init__(self) -> None:
        self.away = False
        self.content: dict[str, _Target] = {}  # by target
        self._run = 0
        self._notes: dict[str, tuple[int, bytes]] = {}
        self._starts: dict[str, Start] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self.scopes: dict[str, MemoryScope] = {}  # by name
        self._changed = trio.Event()

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        self.content.clear()
        self._notes.clear()
        self._starts.clear()
        self._told.clear()
        self.scopes.clear()

    def copy(self) -> dict[str, _Target]:
        """What a replica has now."""
        return deepcopy(self.content)

    def fail_over(self, replica: dict[str, _Target] | None = None) -> None:
        """Be another server's process, with what this replica has; without one, a restart that lost nothing."""
        self._run += 1
        self.content = self.content if replica is None else replica

    def quarantined(self, target: str) -> dict[str, bytes]:
        """What was put aside."""
        return self._of(target).bad

    def left(self) -> list[str]:
        """What it still has of deliveries: items, attempts that have not ended, and ends that their host has not recorded."""
        found = []
        for it in self.content.values():
            found += [f"{id_} in {priority}/{place}" for id_, (priority, place) in it.at.items()]
            found += [
                f"{row.id} at {place}" for each in it.streams for place, row in each.items() if row.id not in it.at
            ]
            found += [f"attempt for {id_}" for id_ in it.open]
            found += [f"news of {id_}" for news in it.news.values() for id_ in news]
        return found

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
        it, now = self._of(target), _now()
        if refused := _refused(it.starts.get(host), start, it.hosts.get(host, 0), LEASE_MS):
            return Tended("", now, "", [], refused=refused)
        if start.token:
            it.starts[host] = start
        is_new = it.count_up(self._run, now)
        it.hosts[host] = now
        it.troubles = {name: note for name, note in {**it.troubles, host: trouble}.items() if note}
        seen = [name for name, at in it.hosts.items() if at >= now - SEEN_MS]
        young = now - it.made < SETTLING_MS
        is_own = now < it.ends and not token and it.token.startswith(f"{host}:")
        is_alone = alone and len(seen) == 1
        is_free = now >= it.ends and (not young or (not it.missing() and (token or is_alone)))
        if it.holds(token, now):
            it.ends = now + LEASE_MS
        elif wants and not is_new and (is_own or is_free):
            it.fence += 1
            it.token, it.ends = f"{host}:{it.fence}.{now}.{start.token}", now + LEASE_MS
        shown = it.token if now < it.ends else ""
        return Tended(shown, now, it.epoch, seen, young, dict(it.troubles), it.missing())

    async def release(self, target: str, token: str) -> None:
        it = self._of(target)
        if it.holds(token, _now()):
            it.ends = 0
            self._wake()

    async def leave(self, target: str, host: str, start: Start) -> None:
        it = self._of(target)
        if it.starts.get(host, UNKNOWN_START).token == start.token:
            it.starts[host] = start.ended

    async def offer(self, target: str, host: str, items: Sequence[Item]) -> None:
        it = self._of(target)
        for item in items:
            if item.id not in it.at and item.id not in it.news[host]:
                it.last += 1
                place = f"{it.last:020}-0"
                it.streams[item.priority][place] = item
                it.at[item.id] = (item.priority, place)
        self._wake()

    async def look(
        self, target: str, host: str, after: Mapping[int, str] | None, most: int, start: Start = UNKNOWN_START
    ) -> Seen:
        it = self._of(target)
        if start.token and it.starts.get(host, start).token != start.token:
            return Seen([], [], is_all=True)
        news = [Done(id_, host, result) for id_, result in it.news[host].items()]
        items = [
            (
                priority,
                Stored(
                    place,
                    item.id,
                    item.body,
                    not it.open.get(item.id, "~").startswith("~"),
                    it.lapsed(item.epoch),
                    it.open.get(item.id, "").partition(":")[0],
                ),
            )
            for priority, stream in enumerate(it.streams)
            for place, item in stream.items()
            if after is not None and place > after.get(priority, "") and it.epoch
        ]
        return Seen(news[:most], items[:most], len(news) < most and len(items) < most)

    async def begin(
        self, target: str, token: str, ids: Sequence[str], foreign: Sequence[str], request: str, *, copies: bool = True
    ) -> list[str] | None:
        it = self._of(target)
        if not it.holds(token, _now()):
            return None
        if gone := [id_ for id_ in foreign if id_ not in it.at]:
            return gone
        for id_ in ids:
            leaves_copy = copies or not it.open.get(id_, "~").startswith("~")
            it.open[id_] = token if leaves_copy else f"~{token}"
        it.asked[request] = inf
        return []

    async def settle(self, target: str, token: str, settled: Settled) -> None:
        it = self._of(target)
        for each in settled.done:
            priority, place = it.at.pop(each.id, (0, ""))
            it.streams[priority].pop(place, None)
            it.open.pop(each.id, None)
            if each.arrived or each.id not in it.news[each.origin]:
                it.news[each.origin][each.id] = each.result
        for id_ in settled.waiting:
            if it.open.get(id_) in {token, f"~{token}"}:
                del it.open[id_]
                if id_ in settled.doubtful:
                    it.open[id_] = f"?{token}"
        if settled.request:
            it.asked[settled.request] = _now()
            if settled.unsent:
                del it.asked[settled.request]
            newest = sorted(it.asked.items(), key=lambda pair: pair[1])[-MAX_REQUESTS:]
            it.asked = dict(newest)
        if it.holds(token, _now()):
            it.state = {name: value for name, value in {**it.state, **settled.state}.items() if value}
        self._wake()

    async def forget(self, target: str, host: str, ids: Sequence[str]) -> None:
        found = self._of(target).news[host]
        for id_ in ids:
            found.pop(id_, None)

    async def withdraw(self, target: str, ids: Sequence[str]) -> dict[str, bool]:
        it = self._of(target)
        found = {id_: id_ in it.open for id_ in ids if id_ in it.at and it.open.get(id_, "?").startswith("?")}
        for id_ in found:
            priority, place = it.at.pop(id_)
            it.streams[priority].pop(place, None)
            it.open.pop(id_, None)
        return found

    async def learned(self, target: str) -> Learned:
        it = self._of(target)
        it.asked = {name: min(at, _now()) for name, at in it.asked.items()}
        return Learned(dict(it.state), [(name, int(at)) for name, at in it.asked.items()])

    async def account(self, target: str, host: str, account: Account) -> None:
        it = self._of(target)
        if it.epoch != account.epoch:
            return
        it.witnesses = {**dict.fromkeys(account.senders, ""), **it.witnesses, host: it.epoch}
        it.open |= dict.fromkeys(account.open, account.token)
        it.open = {**dict.fromkeys(account.doubtful, f"?{account.token}"), **it.open}
        if account.before and it.epoch.endswith(".0"):
            it.past.add(account.before)

    async def report(self, target: str, requests: Mapping[str, int]) -> None:
        it = self._of(target)
        it.asked = {**requests, **it.asked}

    async def ask(self, scope: str, question: Question) -> Room:
        return self._scope(scope).ask(question, _now())

    async def answered(self, scope: str, request: str, ago: int | None) -> None:
        self._scope(scope).answered(request, None if ago is None else _now() - ago)

    async def recall(self, scope: str, requests: Mapping[str, int | None]) -> None:
        for request, ago in requests.items():
            self._scope(scope).recall(request, inf if ago is None else _now() - ago)

    async def teach(self, scope: str, state: bytes) -> None:
        self._scope(scope).state = state

    async def quarantine(self, target: str, priority: int, stored: Stored) -> None:
        it = self._of(target)
        it.streams[priority].pop(stored.place, None)
        it.at.pop(stored.id, None)
        if len(it.bad) < MAX_BAD:
            it.bad[stored.id] = stored.body

    async def note(
        self, host: str, note: bytes, start: Start = UNKNOWN_START, *, leaves: bool = False
    ) -> list[Noted] | Refused:
        self._check()
        if refused := _refused(self._starts.get(host), start, self._notes.get(host, (0, b""))[0], SEEN_MS):
            return refused
        if start.token:
            self._starts[host] = start.ended if leaves else start
        self._notes[host] = _now(), note
        latest = sorted(self._notes.items(), key=lambda each: -each[1][0])[:MAX_HOSTS]
        self._notes = {name: said for name, said in latest if said[0] > _now() - NOTE_KEPT_MS}
        return [each for each in await self.hosts() if each.ago >= MISSING_MS][:MAX_MISSING]

    async def hosts(self) -> list[Noted]:
        self._check()
        return [Noted(host, at, _now() - at, note) for host, (at, note) in self._notes.items()]

    async def claim(self, about: str, host: str, seconds: float) -> bool:
        self._check()
        teller, until = self._told.get(about, ("", 0.0))
        if _now() >= until:
            teller = host
            self._told[about] = host, _now() + seconds * 1000
        return teller == host

    async def wait(self, targets: Sequence[str], host: str) -> Collection[str]:
        del host  # every change wakes all
        self._check()
        await self._changed.wait()
        return targets

    async def try_out(self, name: str) -> None:
        del name
        self._check()

    async def complaints(self) -> list[str]:
        self._check()
        return []

    async def aclose(self) -> None:
        """Nothing is open."""

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _of(self, target: str) -> _Target:
        self._check()
        if target not in self.content:
            self.content[target] = _Target()
        return self.content[target]

    def _scope(self, name: str) -> MemoryScope:
        self._check()
        if name not in self.scopes:
            self.scopes[name] = MemoryScope(_now())
        return self.scopes[name]

    def _check(self) -> None:
        if self.away:
            raise EngineAway("the engine does not answer")


def _refused(other: Start | None, start: Start, seen: int, live_ms: int) -> Refused | None:
    """Why a start is refused; None when it is not."""
    if other is None or not start.token or other.token == start.token:
        return None
    if other.journal == start.journal != "" and other.commits > start.commits:
        return Refused(seen, is_ahead=True)
    return Refused(seen) if other.token != ENDED and 0 <= _now() - seen < live_ms else None


def _now() -> int:
    return int(trio.current_time() * 1000) + 10**6
