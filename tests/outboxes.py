"""What lies in a spool, read as the daemon reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tocsin import outbox
from tocsind.spool import outboxes
from tocsind.spool.folder import Folder


def close_outboxes() -> None:
    """End this process's outboxes, as the end of a program does."""
    for box in outbox._outboxes.values():
        box.close()
    outbox._outboxes.clear()


def files(spool: Path) -> list[Path]:
    """The outboxes, the one that was written longest ago first."""
    return sorted(spool.glob("[!.]*.outbox"), key=lambda file: file.stat().st_mtime_ns)


def bodies(file: Path) -> list[list[dict[str, Any]]]:
    """The records of one outbox that no daemon has confirmed."""
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
    """All signals that wait there, in order."""
    return [signal for file in files(spool) for body in bodies(file) for signal in body]
