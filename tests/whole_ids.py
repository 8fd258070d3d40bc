"""Whole ids for the ends that messages show, from the journals of the daemons of this test.

A copy of a journal is read: a second connection could disturb what a test does to the daemon.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from tocsind.rendering.card import SHORT_ID

_TRIES = 5  # a copy that is made during a commit may be torn
_known: dict[str, str] = {}
_states: set[Path] = set()


def look_in(state: Path) -> None:
    """Look for ids in the journal of this state folder, too."""
    _states.add(state)


def whole_ids(ends: Iterable[str]) -> list[str]:
    """The id for each end; the end itself where no journal has one."""
    ends = list(ends)
    for _ in range(_TRIES):
        if _known.keys() >= set(ends):
            break
        for state in _states:
            _known.update((id_[-SHORT_ID:], id_) for id_ in _ids(state))
    return [_known.get(end, end) for end in ends]


def _ids(state: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, sqlite3.Error):
        for name in ("journal.db", "journal.db-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(state / name, Path(folder) / name)
        with closing(sqlite3.connect(Path(folder) / "journal.db")) as journal:
            return [id_ for (id_,) in journal.execute("SELECT id FROM signals")]
    return []
