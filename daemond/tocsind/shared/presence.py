"""Notes of the hosts about themselves, written to the engine every few seconds, for `tocsin status --all-hosts` and for alarms.

A note has no secret: its texts pass `secret.redacted`. Notes of other hosts are checked like any input from outside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from tocsind import __version__
from tocsind.clock import Clock
from tocsind.events import Emit, HostForgotten, HostFound, HostMissing
from tocsind.policy.delivery import Priority
from tocsind.secret import redacted_struct

from .engine import MISSING_MS, SEEN_MS, UNREADABLE, Engine, EngineAway, Noted, Refused
from .identity import Identity
from .items import HOST_NAME

NOTE_SECONDS: Final = 3.0
READ_SECONDS: Final = 30.0  # between two reads of all notes, which a status shows while the engine is away
ASK_SECONDS: Final = 2.0  # that a status request waits for the engine
CLAIM_SECONDS: Final = 86_400.0  # so long only the host that reported a missing host may do that again
MAX_TEXTS: Final = 10  # problems, and destinations
MAX_TEXT: Final = 160  # code points
MAX_TARGETS: Final = 50

State = tuple[str, Sequence[str], Mapping[str, int]]  # health, problems, and counts of queued deliveries by priority
Describe = Callable[[], Awaitable[State]]
_encode = msgspec.msgpack.Encoder().encode


class Note(msgspec.Struct, frozen=True, array_like=True):
    """The note of a host about itself."""

    version: str = ""
    health: str = ""
    problems: tuple[str, ...] = ()
    sends_for: tuple[str, ...] = ()
    queued: tuple[int, ...] = (0, 0, 0, 0)
    kept: int = 0  # of these, deliveries that no other host can send
    stopped: bool = False
    targets: tuple[str, ...] = ()  # that it shares


class Part(msgspec.Struct, frozen=True):
    """The shared part of a note: targets, the destinations for which the host sends, and the count of deliveries that only it has."""

    targets: Sequence[str] = ()
    sends_for: Sequence[str] = ()
    kept: int = 0


def note_of(state: State, part: Part, *, stopped: bool = False) -> Note:
    """The note of this host."""
    health, problems, queued = state
    waiting = tuple(queued.get(priority.label, 0) for priority in Priority)
    shared, targets = _short(part.sends_for), tuple(part.targets[:MAX_TARGETS])
    found = Note(__version__, health, _short(problems), shared, waiting, part.kept, stopped, targets)
    return redacted_struct(found, ("version", "health", "targets"))


def _short(texts: Iterable[str]) -> tuple[str, ...]:
    """Few texts of limited length; the last one says how many are left out."""
    all_ = list(map(_cut, texts))
    more = len(all_) - MAX_TEXTS
    return tuple([*all_[: MAX_TEXTS - 1], f"and {more + 1} more"] if more > 0 else all_)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def read_note(packed: bytes) -> Note | None:
    """The note of a host; None when it cannot be read: another version or another program wrote it."""
    try:
        note = msgspec.msgpack.decode(packed, type=Note)
    except UNREADABLE:
        return None
    texts: dict[str, Any] = {"version": _cut(note.version), "health": _cut(note.health)}
    texts["targets"] = note.targets[:MAX_TARGETS]
    return msgspec.structs.replace(note, problems=_short(note.problems), sends_for=_short(note.sends_for), **texts)


def is_stopped(noted: Noted) -> bool:
    """Whether the host has stopped as it should."""
    note = read_note(noted.note)
    return note is not None and note.stopped


class Presence:
    """Tells of this host, and of those that are missing. `describe` is set by the daemon once it can answer.

    `step` raises EngineAway.
    """

    def __init__(self, engine: Engine, identity: Identity, clock: Clock, emit: Emit) -> None:
        self._engine = engine
        self._identity = identity
        self._clock = clock
        self._emit = emit
        self.describe: Describe = _nothing
        self._read: list[Noted] = []
        self._read_at: float | None = None  # monotonic; None: the engine was never asked
        self._there_since: float | None = None  # monotonic, since the engine answers without a gap
        self._missing: set[str] = set()  # hosts that this one has reported

    async def step(self, part: Part) -> None:
        """Write the note, and report missing hosts that share a target with this one."""
        note = note_of(await self.describe(), part)
        try:
            missing = await self._write(note)
            if self._missing or self._is_old():
                await self._read_all()
        except EngineAway:
            self._there_since = None
            raise
        now = self._clock.now()
        self._there_since = now if self._there_since is None else self._there_since
        if now - self._there_since >= MISSING_MS / 1000:  # after an outage every host has had time to say something
            await self._report([each for each in missing if _is_missed(each, part.targets)])

    async def leave(self) -> None:
        """Say that this host stops as it should. Raises EngineAway."""
        note = _encode(note_of(await self.describe(), Part(), stopped=True))
        await self._engine.note(self._identity.name, note, self._identity.start, leaves=True)

    async def _write(self, note: Note) -> Sequence[Noted]:
        """Write the note, unless another start of this host writes its own. Returns the missing hosts."""
        found = await self._engine.note(self._identity.name, _encode(note), self._identity.start)
        if isinstance(found, Refused):
            self._identity.on_refused("", found)
            return ()
        self._identity.on_accepted("")
        return found

    async def _report(self, missing: Sequence[Noted]) -> None:
        found = {each.host: each for each in missing}
        for host, each in found.items():
            if host not in self._missing and await self._may_report(each):
                self._missing.add(host)
                note = read_note(each.note) or Note()
                self._emit(HostMissing(host, each.ago / 1000, note.kept, sum(note.queued)))
        seen = {each.host for each in self._read}
        for host in self._missing - found.keys():
            self._missing.discard(host)
            self._emit(HostFound(host) if host in seen else HostForgotten(host))

    async def _may_report(self, noted: Noted) -> bool:
        """Whether no other host reports this absence."""
        return await self._engine.claim(f"{noted.host} {noted.at}", self._identity.name, CLAIM_SECONDS)

    def _is_old(self) -> bool:
        return self._read_at is None or self._clock.now() - self._read_at >= READ_SECONDS

    async def _read_all(self) -> None:
        self._read = await self._engine.hosts()
        self._read_at = self._clock.now()

    async def view(self, part: Part) -> tuple[float | None, EngineAway | None, list[dict[str, Any]]]:
        """How old the answer is (seconds; None: the engine never gave one), why it is no new one, and each host, this one first, then by
        name.
        """
        failed = await self._read_now()
        is_old = failed is not None
        own = _row(self._identity.name, 0.0, note_of(await self.describe(), part), is_old=False) | {"here": True}
        age = None if self._read_at is None else self._clock.now() - self._read_at
        others = [
            _row(each.host, each.ago / 1000 + (age or 0.0), read_note(each.note), is_old=is_old)
            for each in sorted(self._read, key=lambda each: each.host)
            if each.host != self._identity.name and HOST_NAME.fullmatch(each.host)
        ]
        return age, failed, [own, *others]

    async def _read_now(self) -> EngineAway | None:
        try:
            with trio.fail_after(ASK_SECONDS):
                await self._read_all()
        except EngineAway as away:
            return away
        except trio.TooSlowError:
            return EngineAway(f"no answer came within {ASK_SECONDS:g} s")
        return None


async def _nothing() -> State:
    return "", (), {}


def _is_missed(noted: Noted, targets: Collection[str]) -> bool:
    """Whether people here should know that this host is missing: it shares a target, and has not stopped as it should."""
    note = read_note(noted.note)
    return note is not None and not note.stopped and not set(targets).isdisjoint(note.targets)


def _row(host: str, seconds: float, note: Note | None, *, is_old: bool) -> dict[str, Any]:
    known, state = note or Note(), _state(seconds, note, is_old=is_old)
    return {
        "host": host,
        "here": False,
        "state": state,
        "seen_seconds": round(seconds, 3),
        "version": known.version,
        "health": known.health,
        "problems": list(known.problems) if note else ["what it says of itself cannot be read: another version?"],
        "sends_for": list(known.sends_for) if state == "present" else [],
        "queued": {priority.label: n for priority, n in zip(Priority, known.queued, strict=False)},
        "kept": known.kept,
    }


def _state(seconds: float, note: Note | None, *, is_old: bool) -> str:
    if note is not None and note.stopped:
        return "stopped"
    if is_old:
        return "unknown"
    return "absent" if seconds * 1000 >= SEEN_MS else "present"
