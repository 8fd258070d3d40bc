"""The content of a spool, read as the daemon reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.harness import GROUP

from tocsin import outbox
from tocsind.spool import outboxes
from tocsind.spool.folder import Folder


def close_outboxes() -> None:
    """Close the outboxes of this process, as its end would."""
    for box in outbox._outboxes.values():
        box.close()
    outbox._outboxes.clear()


def share_spool(spool: Path, mode: int = 0o3770) -> None:
    """Make a spool of GROUP. Only root can."""
    spool.mkdir()
    os.chown(spool, 0, GROUP)
    spool.chmod(mode)


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
