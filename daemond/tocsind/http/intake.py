"""The way from HTTP into the core. What is answered with 2xx is on disk, and so are the files that came with it.

`store` commits to the journal, and answers what became of each signal. `hand_over` answers only that a signal is on disk: it appends it to
the daemon's own outbox, which the importer of the spool reads as it reads those of programs. So it waits for one sync, and for no commit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.ids import new_id
from tocsin.signals import Receipt, Signal
from tocsind.attachments import Attachments
from tocsind.core.accept import Acceptor
from tocsind.core.active_config import ActiveConfig
from tocsind.core.admission import Peer
from tocsind.core.disk_guard import DiskGuard
from tocsind.events import Emit, SignalRefused
from tocsind.http_server import Request
from tocsind.journal import Journal, messages
from tocsind.spool import OwnOutbox

from .message_ids import alias_of

_LONGEST_REASON = 300  # characters
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Intake:
    """Stores signals that came over HTTP, and answers what is stored. Methods raise StorageFull while the daemon accepts nothing."""

    def __init__(
        self,
        acceptor: Acceptor,
        journal: Journal,
        *,
        config: ActiveConfig,
        disk_guard: DiskGuard,
        attachments: Attachments,
        outbox: OwnOutbox,
        emit: Emit,
    ) -> None:
        self._acceptor = acceptor
        self._journal = journal
        self._config = config
        self._disk_guard = disk_guard
        self._attachments = attachments
        self._outbox = outbox
        self._emit = emit
        self._aliases: tuple[object, Mapping[str, str]] = (None, {})

    def destination(self, name: str) -> str | None:
        """The destination of this name, or of this number (`alias_of`); None when there is none."""
        known = self._config.current.destinations
        if self._aliases[0] is not known:
            self._aliases = (known, {alias_of(each): each for each in known})
        return name if name in known else self._aliases[1].get(name)

    def problem(self, signal: Signal) -> str | None:
        """Why a signal is refused: its `to` does not exist. None when it is not."""
        try:
            self._acceptor.check(signal)
        except InvalidSignal as invalid:
            return str(invalid)
        return None

    async def store(self, signals: Sequence[Signal], request: Request) -> list[Receipt]:
        """Store signals without a `problem`; a receipt each, after the commit. Raises StorageFull."""
        await self._outbox.imported()
        return await self._acceptor.accept(signals, _peer_of(request))

    async def hand_over(self, values: Mapping[str, Any], request: Request) -> None:
        """Store a signal with these fields and without files, under a fresh id. Raises StorageFull.

        The importer checks the fields, so they must make a signal without a `problem`.
        """
        values = {**values, "id": new_id()}
        if not (self._takes(request) and await self._outbox.append(msgspec.json.encode(values))):
            await self.store([Signal.from_dict(values)], request)

    def _takes(self, request: Request) -> bool:
        """Whether the daemon's own outbox may have what came with a request. Its records count as those of the daemon's user."""
        self._disk_guard.check()
        return self._disk_guard.closed is None and _peer_of(request).uid == os.geteuid()

    def report_refused(self, request: Request, reason: str) -> None:
        """Count and log a signal that was refused. Its sender got the reason, and may not have read it."""
        self._emit(SignalRefused("HTTP", reason[:_LONGEST_REASON].rstrip("."), _peer_of(request).uid, 0))

    async def save_files(self, id_: str, contents: Sequence[bytes]) -> str | None:
        """Store the files of a signal, before the signal itself; the reason when there is no room for them."""
        content = contents[0] if len(contents) == 1 else _encode(list(contents))
        return await self._attachments.save(id_, content, self._disk_guard.spare_bytes())

    async def load(self, id_: str) -> Signal | None:
        """A stored signal."""
        body = await self._journal.run(messages.load, id_)
        return None if body is None else Signal.trusted(_decode(body))

    async def save(self, signal: Signal) -> None:
        """Replace a stored signal by one of the same id."""
        await self._journal.run(messages.save, signal.id, _encode(signal.as_dict()))


def _peer_of(request: Request) -> Peer:
    """Who sent a request: over a Unix socket the kernel knows; over TCP a token acts for this daemon's user."""
    return Peer(os.geteuid() if request.peer is None else request.peer, os.getegid(), 0)
