"""The identity of this host: its name, which is in the state folder, and the start of its daemon.

A state folder may be copied: a cloned machine, a restored backup, rsync. Then two daemons have one name. The engine therefore knows the
last start of each host (`engine.Start`): a token that each daemon draws, and how many commits its journal has. It refuses

    a start while another one of the host was seen of late: one that was killed a moment ago, until its lease has ended; or one that lives
    a start whose journal has fewer commits than the engine knows of it: the folder is an older copy, even if no other daemon runs

A refused start has no lease, hands nothing over, and fetches nothing. A killed one is not seen again, so when the other one is seen
RENEWALS more times, it lives: at most one of its questions may still have been on its way. Then, or at once when the journal is an older
copy, the refused host takes a new name (`rename`). It cannot know what the other one has of its deliveries that wait, so it hands all of
them over under its new name, marked as possible duplicates: none is lost, and none comes twice without a mark.

The file has the new name and the one before until the journal has recorded the change, so that a kill in between repeats that.
"""

from __future__ import annotations

import os
import re
import secrets
from collections import defaultdict
from pathlib import Path
from typing import Final

from .engine import Refused, Start
from .items import HOST_NAME

FILE_NAME: Final = "host"
RENEWALS: Final = 2


class Identity:
    """The name of this host, and this start of its daemon. `before`: the name whose deliveries the journal has to give the new name.

    `folder`: where the name is kept; None: nowhere.
    """

    def __init__(self, name: str, before: str = "", folder: Path | None = None) -> None:
        self.name = name
        self.before = before
        self.start = Start(secrets.token_hex(8))
        self._folder = folder
        self._seen: defaultdict[str, set[int]] = defaultdict(set)
        self._is_behind = False

    @property
    def is_refused(self) -> bool:
        """Whether the engine refuses this start at a target."""
        return any(self._seen)

    @property
    def rival(self) -> str | None:
        """Why this host needs a new name; None while it needs none."""
        if self._is_behind:
            return "the engine knows a later state of it"
        lives = any(len(times) > RENEWALS for times in self._seen.values())
        return "another daemon runs with the same one" if lives else None

    def note_commits(self, journal: str, commits: int) -> None:
        """The journal has so many commits."""
        self.start = Start(self.start.token, journal, commits)

    def on_refused(self, target: str, refused: Refused) -> None:
        """The engine refused this start at a target, or the note of this host (`target` is "")."""
        self._seen[target].add(refused.seen)
        self._is_behind |= refused.is_ahead

    def on_accepted(self, target: str) -> None:
        """The engine did not refuse it there."""
        self._seen.pop(target, None)

    def rename(self) -> None:
        """Draw a new name, and write it down together with the one before. Raises OSError; then nothing has changed."""
        name = _new_name()
        self._write(f"{name}\n{self.name}\n")
        self.name, self.before, self._is_behind = name, self.name, False
        self._seen.clear()

    def finish(self) -> None:
        """The journal has recorded the new name. Raises OSError."""
        self._write(f"{self.name}\n")
        self.before = ""

    def _write(self, text: str) -> None:
        if self._folder is not None:
            _write(self._folder / FILE_NAME, text)


def identity_of(folder: Path) -> Identity:
    """The host that this state folder is: its name is made once, of the machine's name and a random part."""
    name, before = _read(folder)
    if not name:
        name = _new_name()
        _write(folder / FILE_NAME, f"{name}\n")
    return Identity(name, before, folder)


def known_name(folder: Path) -> str:
    """The name of the host that this state folder is; "" before its first start."""
    return _read(folder)[0]


def _read(folder: Path) -> tuple[str, str]:
    try:
        lines = (folder / FILE_NAME).read_text("ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        return "", ""
    name, before = [*map(str.strip, lines), ""][:2]
    is_sound = HOST_NAME.fullmatch(name) and (not before or HOST_NAME.fullmatch(before))
    return (name, before) if is_sound else ("", "")


def _new_name() -> str:
    machine = re.sub(r"[^A-Za-z0-9_.-]", "-", os.uname().nodename)[:64] or "host"
    return f"{machine}-{secrets.token_hex(3)}"


def _write(path: Path, text: str) -> None:
    """Replace the file, synced."""
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
