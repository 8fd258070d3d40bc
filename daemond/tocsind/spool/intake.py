"""The task that takes the spool in: when to look, and in which order things happen."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import trio

from tocsin.errors import InvalidSignal
from tocsin.signals import Signal
from tocsin.spool import QUARANTINE
from tocsind.clock import Clock
from tocsind.dispatch import Dispatch
from tocsind.errors import StorageFull
from tocsind.events import Emit, Quarantined, SpoolRecovered, SpoolTaken, SpoolTrouble
from tocsind.reception import Peer

from .folder import Folder, Unfit
from .letters import Letter, plain
from .watch import Watch

ROUND = 60.0  # seconds between two looks that nothing prompted
BLIND_ROUND = 2.0  # the same where the kernel tells nothing, or something is in the way
FILES_AT_ONCE = 128
SIGNALS_AT_ONCE = 500  # one commit, as for the door: more would make other programs wait


class Spool:
    """Takes the spool in until it is cancelled."""

    def __init__(self, path: Path, dispatch: Dispatch, clock: Clock, emit: Emit) -> None:
        self._folder = Folder(path)
        self._dispatch = dispatch
        self._clock = clock
        self._emit = emit
        self._trouble: str | None = None
        self.looked = trio.Event()  # what was there at the start is taken

    async def run(self) -> None:
        """Look at once, and then whenever there is reason to."""
        with Watch() as watch:
            while True:
                try:
                    await self._take_all(watch)
                except (Unfit, StorageFull) as error:
                    self._note(str(error))
                self.looked.set()
                with trio.move_on_after(ROUND if watch.works and self._trouble is None else BLIND_ROUND):
                    await watch.changed()

    async def look(self) -> tuple[dict[str, Any], list[str]]:
        """The `spool` of the status, and what is wrong with it."""
        problems = [f"the spool is not taken in: {self._trouble}"] if self._trouble else []
        told: dict[str, Any] = {"path": str(self._folder.path), "files": None, "quarantined": None, "reason": None}
        try:
            census = await trio.to_thread.run_sync(self._folder.census)
        except Unfit as unfit:
            return told, problems or [f"the spool is not taken in: {unfit}"]
        if census.quarantined:
            where = self._folder.path / QUARANTINE
            problems.append(
                f"{census.quarantined} of the spool could not be taken and lie in {where}; the last: {census.reason}"
            )
        return {**told, "files": census.waiting, "quarantined": census.quarantined, "reason": census.reason}, problems

    async def _take_all(self, watch: Watch) -> None:
        """All that is there now. Raises Unfit, StorageFull."""
        await trio.to_thread.run_sync(self._folder.prepare)
        watch.on(self._folder.path)  # before the look: what comes after it is told
        names = await trio.to_thread.run_sync(self._folder.names, self._clock.wall())
        trouble = None
        while names:
            letters = await trio.to_thread.run_sync(self._folder.read, names[:FILES_AT_ONCE], self._clock.wall())
            names = names[len(letters) :]
            trouble = await self._take([self._checked(letter) for letter in letters]) or trouble
        await self._dispatch.attachments.sweep(self._clock.wall())  # no letter waits that could name one
        self._note(trouble)

    def _checked(self, letter: Letter) -> Letter:
        """The letter without what our configuration does not know."""
        signals: list[Signal] = []
        faults = list(letter.faults)
        for signal in letter.signals:
            try:
                self._dispatch.check(signal)
                signals.append(signal)
            except InvalidSignal as error:
                faults.append(plain(f"{signal.id}: {error}"))
        return Letter(letter.name, letter.uid, letter.gid, signals, faults)

    async def _take(self, letters: list[Letter]) -> str | None:
        """First the commit, then the files. Answers what is in the way of a quarantine, if anything is."""
        for (uid, gid), group in groupby(letters, key=lambda letter: (letter.uid, letter.gid)):
            await self._accept([signal for letter in group for signal in letter.signals], Peer(uid=uid, gid=gid, pid=0))
        await trio.to_thread.run_sync(self._folder.delete, [letter.name for letter in letters if not letter.faults])
        taken = sum(len(letter.signals) for letter in letters)
        if taken:
            self._emit(SpoolTaken(len(letters), taken))
        trouble = None
        for letter in letters:
            if letter.faults:
                trouble = await self._quarantine(letter) or trouble
        return trouble

    async def _accept(self, signals: list[Signal], peer: Peer) -> None:
        for start in range(0, len(signals), SIGNALS_AT_ONCE):
            await self._dispatch.accept(signals[start : start + SIGNALS_AT_ONCE], peer)

    async def _quarantine(self, letter: Letter) -> str | None:
        reason = "; ".join(letter.faults)
        try:
            await trio.to_thread.run_sync(self._folder.quarantine, letter.name, reason)
        except Unfit as unfit:
            return f"{plain(letter.name)}: {plain(reason)}; {unfit}"
        self._emit(Quarantined(plain(letter.name), plain(reason)))
        return None

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self._trouble is None:
            self._emit(SpoolTrouble(trouble))
        recovered, self._trouble = trouble is None and self._trouble is not None, trouble
        if recovered:
            self._emit(SpoolRecovered())
