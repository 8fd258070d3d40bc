"""Takes files over from the clients' folder into the store, and deletes them when no delivery needs them."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

import trio

from tocsin.attachments import plain_name, without_file
from tocsin.signals import Signal
from tocsind.policy.delivery import OPEN, State

from .incoming import UNCLAIMED_SECONDS, Incoming
from .store import MAX_BYTES, Store, StoredFile

_NO_ROOM = "the disk is at its reserve"
_AT_ONCE = 1  # one file in memory; and a signal that arrives twice at once has its file taken over once

_MAY_RETURN = frozenset({State.DEAD, State.UNKNOWN})  # by `tocsin retry`

States = Mapping[str, Collection[State]]  # of the deliveries of a signal, by its id


class Attachments:
    """The files of all signals."""

    def __init__(self, state: Path, spool: Path) -> None:
        self.store = Store(state)
        self._incoming = Incoming(spool)
        self._threads = trio.CapacityLimiter(_AT_ONCE)

    async def adopt(self, signals: Sequence[Signal], uid: int, spare: int) -> list[Signal]:
        """Copy the files into the store; the signals as they go into the journal. At most `spare` bytes of disk are used."""
        return await trio.to_thread.run_sync(self._adopt_all, signals, uid, spare, limiter=self._threads)

    def _adopt_all(self, signals: Sequence[Signal], uid: int, spare: int) -> list[Signal]:
        adopted = []
        for signal in signals:
            before = self.store.total_bytes
            adopted.append(self._adopt(signal, uid, spare) if signal.has_file else signal)
            spare -= self.store.total_bytes - before
        return adopted

    def _adopt(self, signal: Signal, uid: int, spare: int) -> Signal:
        name = str(signal.attach)
        try:
            content = self._incoming.content(name, uid)
            if len(content) > spare:
                return without_file(signal, _NO_ROOM)
            self.store.save(signal.id, content)
        except OSError as error:
            return without_file(signal, _reason(error))
        shown = plain_name(name.removeprefix(f"{signal.id}-"))
        return Signal.trusted({**signal.as_dict(), "attach": shown})

    async def save(self, id_: str, content: bytes, spare: int) -> str | None:
        """Store a file of this daemon's own intake; the reason when there is no room for it. `spare`: as for `adopt`."""
        return await trio.to_thread.run_sync(self._save, id_, content, spare, limiter=self._threads)

    def _save(self, id_: str, content: bytes, spare: int) -> str | None:
        if len(content) > spare:
            return _NO_ROOM
        try:
            self.store.save(id_, content)
        except OSError as error:
            return _reason(error)
        return None

    async def on_accepted(self, came: Sequence[Signal], taken: Sequence[Signal]) -> None:
        """Delete the senders' copies, after the commit. `came` are the signals as received, `taken` as `adopt` returned them. A file that
        was not taken over stays: it may be another user's.
        """
        names = [str(signal.attach) for signal, kept in zip(came, taken, strict=True) if kept.has_file]
        await trio.to_thread.run_sync(self._forget, names, limiter=self._threads)

    def _forget(self, names: Sequence[str]) -> None:
        try:
            self._incoming.forget(names)
        except OSError:
            return  # the sweep deletes them later

    async def sweep(self, now: float) -> None:
        """Create the folder for clients, and delete old files in it. `now` is wall-clock seconds."""
        await trio.to_thread.run_sync(self._sweep, now, limiter=self._threads)

    def _sweep(self, now: float) -> None:
        try:
            self._incoming.sweep(now)
        except OSError:
            return  # a sender's receipt names the reason

    async def delete_unneeded(self, ask: Callable[[Sequence[str]], Awaitable[States]], now: float) -> None:
        """Delete files that no delivery needs. `ask` returns the states of deliveries for the ids that the journal has."""
        kept = await trio.to_thread.run_sync(self.store.listing, limiter=self._threads)
        if kept:
            found = await ask([each.id for each in kept])
            await trio.to_thread.run_sync(self.store.delete, _unneeded(kept, found, now), limiter=self._threads)


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "the daemon does not find it in its spool"
    return "it is a link" if error.errno == errno.ELOOP else error.strerror or type(error).__name__


def _unneeded(kept: Sequence[StoredFile], states_of: States, now: float) -> list[StoredFile]:
    """The files to delete. `kept` is oldest first."""
    gone = [each for each in kept if _is_unneeded(each, states_of, now)]
    surplus = sum(each.size for each in kept) - sum(each.size for each in gone) - MAX_BYTES // 2
    for each in kept:
        if surplus > 0 and each not in gone and OPEN.isdisjoint(states_of.get(each.id, OPEN)):
            gone.append(each)
            surplus -= each.size
    return gone


def _is_unneeded(each: StoredFile, states_of: States, now: float) -> bool:
    """Whether its signal is settled, or never came: the commit follows the file within moments."""
    states = states_of.get(each.id)
    if states is None:
        return now - each.since > UNCLAIMED_SECONDS
    return not any(state in OPEN or state in _MAY_RETURN for state in states)
