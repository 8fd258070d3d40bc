"""Quarantine of damaged files: moved aside and reported, never overwritten. All code that finds damage uses it.

`quarantine_files` moves the files into a new folder `damaged-TIME` below the state folder, with the reason in `reason.txt`. `status` shows
each such folder as a problem for a day, or until the operator removes or renames it. At most MAX_FOLDERS are kept; the oldest is deleted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tocsin import trust

PREFIX = "damaged-"
REASON = "reason.txt"
MAX_FOLDERS = 8
SHOWN_SECONDS = 86_400.0  # seconds that a folder counts as a problem
_MOST_REASON = 4096


class Finding(NamedTuple):
    """A folder of damaged files, and the first two lines of its reason: what was wrong, and what was done about it."""

    folder: Path
    reason: str
    outcome: str = ""


def quarantine_files(state: Path, files: Iterable[Path], reason: str, copies: Iterable[Path] = ()) -> Path:
    """Move `files` into a new folder and copy `copies` there, with their names; the folder. Skips missing files. Raises OSError."""
    folder = _new_folder(state)
    (folder / REASON).write_text(f"{reason}\n", encoding="utf-8")
    for path in copies:
        with suppress(FileNotFoundError):
            shutil.copyfile(path, folder / path.name, follow_symlinks=False)
    for path in files:
        with suppress(FileNotFoundError):
            path.rename(folder / path.name)
    trust.sync_folder(str(folder))
    trust.sync_folder(str(state))
    _delete_oldest(state)
    return folder


def recent(state: Path, now: float) -> list[Finding]:
    """The folders of the last day, oldest first. `now` is Unix time."""
    return [_finding(each) for each in folders(state) if now - each.stat().st_mtime < SHOWN_SECONDS]


def folders(state: Path) -> Sequence[Path]:
    """All folders of damaged files, oldest first."""
    found = [each for each in state.glob(f"{PREFIX}*") if each.is_dir() and not each.is_symlink()]
    return sorted(found, key=lambda each: (each.stat().st_mtime, each.name))


def _new_folder(state: Path) -> Path:
    """A new empty folder, named by its modification time: this module reads no clock."""
    fresh = state / f"{PREFIX}new"
    with suppress(FileExistsError):
        fresh.mkdir(mode=0o700)
    os.utime(fresh)
    stamp = datetime.fromtimestamp(fresh.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        name = state / (f"{PREFIX}{stamp}" if number == 1 else f"{PREFIX}{stamp}-{number}")
        if not name.exists():
            return fresh.rename(name)
    raise FileExistsError(f"too many folders of the name {PREFIX}{stamp}")


def _finding(folder: Path) -> Finding:
    try:
        with (folder / REASON).open(encoding="utf-8", errors="replace") as file:
            return Finding(folder, file.readline(_MOST_REASON).strip(), file.readline(_MOST_REASON).strip())
    except OSError:
        return Finding(folder, "damaged files were put aside")


def _delete_oldest(state: Path) -> None:
    for each in folders(state)[:-MAX_FOLDERS]:
        shutil.rmtree(each, ignore_errors=True)
