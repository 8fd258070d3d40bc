"""The content of a spool, read as the daemon reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness import GROUP

from tocsin import at_exit, client, outbox
from tocsin.compat import send as compat_send
from tocsin.losses import Losses
from tocsind.spool import outboxes
from tocsind.spool.folder import Folder


def close_outboxes() -> None:
    """Close the outboxes of this process."""
    for box in outbox._outboxes.values():
        box.close()
    outbox._outboxes.clear()


def end_clients() -> None:
    """Flush the queues of this process and close its outboxes, as its end would.

    A background thread that waited for a server would otherwise write to the spool of the next test, and a client that all tests of this
    process use would report the losses of one test to the daemon of another.
    """
    for queue in list(at_exit._queues):
        queue.flush()
    for each in (client._process_wide, compat_send._client):
        each.losses = Losses()
        each.close()
    close_outboxes()


def share_spool(spool: Path, mode: int = 0o3770) -> None:
    """Make a spool of GROUP. Only root can."""
    spool.mkdir()
    os.chown(spool, 0, GROUP)
    spool.chmod(mode)


def delete_when_listed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete a file as soon as its name has been read from its folder, as a daemon or another program may."""
    scandir = os.scandir

    @contextmanager
    def listed(place: int) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(place) as entries:
            found = list(entries)
        if file.name in {entry.name for entry in found}:
            file.unlink()
        yield found

    monkeypatch.setattr(os, "scandir", listed)


def files(spool: Path) -> list[Path]:
    """The outboxes, the least recently written first."""
    return sorted(spool.glob("[!.]*.outbox"), key=lambda file: file.stat().st_mtime_ns)


def bodies(file: Path) -> list[list[dict[str, Any]]]:
    """The unconfirmed records of one outbox."""
    found: list[list[dict[str, Any]]] = []
    known = None
    with Folder(file.parent)._opened() as place:
        while True:
            reading = outboxes.read(place, file.name, known, {})
            found += [json.loads(record.body) for record in reading.records]
            known = reading.after
            if not reading.more:
                return found


def held(spool: Path) -> list[dict[str, Any]]:
    """All signals in the spool, in order."""
    return [signal for file in files(spool) for body in bodies(file) for signal in body]
