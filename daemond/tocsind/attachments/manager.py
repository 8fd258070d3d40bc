"""Files taken over from the dropbox into the store, and let go when nobody waits for them."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

import trio

from tocsin.attachments import plain_name, without_file
from tocsin.signals import Signal
from tocsind.policy.delivery import OPEN, State

from .incoming import LEFT_SECONDS, Incoming
from .store import MAX_BYTES, Store, StoredFile

_AT_ONCE = 1  # a file in memory; and a signal that comes by two roads brings its file once

_MAY_RETURN = frozenset({State.DEAD, State.UNKNOWN})  # when a person puts them back

Standing = Mapping[str, Collection[State]]  # of a signal's deliveries, by its id


class Attachments:
    """The files of all signals."""

    def __init__(self, state: Path, spool: Path) -> None:
        self.store = Store(state)
        self._incoming = Incoming(spool)
        self._threads = trio.CapacityLimiter(_AT_ONCE)

    async def adopt(self, signals: Sequence[Signal], uid: int, spare: int) -> list[Signal]:
        """The signals with their files in safe keeping, as they go into the journal; `spare` bytes of disk may be used for it."""
        return await trio.to_thread.run_sync(self._take_all, signals, uid, spare, limiter=self._threads)

    def _take_all(self, signals: Sequence[Signal], uid: int, spare: int) -> list[Signal]:
        taken = []
        for signal in signals:
            before = self.store.total_bytes
            taken.append(self._take(signal, uid, spare) if signal.has_file else signal)
            spare -= self.store.total_bytes - before
        return taken

    def _take(self, signal: Signal, uid: int, spare: int) -> Signal:
        name = str(signal.attach)
        try:
            content = self._incoming.content(name, uid)
            if len(content) > spare:
                return without_file(signal, "the disk is at its reserve")
            self.store.save(signal.id, content)
        except OSError as error:
            return without_file(signal, _reason(error))
        shown = plain_name(name.removeprefix(f"{signal.id}-"))
        return Signal.trusted({**signal.as_dict(), "attach": shown})

    async def on_accepted(self, came: Sequence[Signal], taken: Sequence[Signal]) -> None:
        """The commit is behind us: the senders' copies may go, of signals as they came and as `take` made them. What was not taken over is
        left alone: it may be another's.
        """
        names = [str(signal.attach) for signal, kept in zip(came, taken, strict=True) if kept.has_file]
        await trio.to_thread.run_sync(self._forget, names, limiter=self._threads)

    def _forget(self, names: Sequence[str]) -> None:
        try:
            self._incoming.forget(names)
        except OSError:
            return  # the sweep comes past it

    async def sweep(self, now: float) -> None:
        """Have a folder for clients, and nothing old in it. `now` is wall-clock seconds."""
        await trio.to_thread.run_sync(self._sweep, now, limiter=self._threads)

    def _sweep(self, now: float) -> None:
        try:
            self._incoming.sweep(now)
        except OSError:
            return  # whoever hands a file in is told why it is not taken

    async def delete_unneeded(self, ask: Callable[[Sequence[str]], Awaitable[Standing]], now: float) -> None:
        """Let go of what nobody waits for. `ask` answers for those ids that the journal knows."""
        kept = await trio.to_thread.run_sync(self.store.listing, limiter=self._threads)
        if kept:
            found = await ask([each.id for each in kept])
            await trio.to_thread.run_sync(self.store.delete, _unneeded(kept, found, now), limiter=self._threads)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "the daemon does not find it in its spool"
    return "it is a link" if error.errno == errno.ELOOP else error.strerror or type(error).__name__


def _unneeded(kept: Sequence[StoredFile], standing: Standing, now: float) -> list[StoredFile]:
    """What may go, of files that are given oldest first."""
    gone = [each for each in kept if _is_left(each, standing, now)]
    surplus = sum(each.size for each in kept) - sum(each.size for each in gone) - MAX_BYTES // 2
    for each in kept:
        if surplus > 0 and each not in gone and OPEN.isdisjoint(standing.get(each.id, OPEN)):
            gone.append(each)
            surplus -= each.size
    return gone


def _is_left(each: StoredFile, standing: Standing, now: float) -> bool:
    """Whether its signal is through, or never came: the commit follows the file within moments."""
    states = standing.get(each.id)
    if states is None:
        return now - each.since > LEFT_SECONDS
    return not any(state in OPEN or state in _MAY_RETURN for state in states)
