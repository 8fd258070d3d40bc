"""The program that the units start: its command line in systemd's syntax, and whether the service's user can run it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the service has its own (PrivateTmp=, PrivateDevices=)
_HOMES = ("/home", "/root", "/run/user")  # hidden by ProtectHome=


def own_program() -> list[str]:
    """The command line of the running tocsind, without the verb."""
    here = Path(sys.executable)
    if hasattr(sys, "frozen"):  # one binary for both commands, by its name or its first word
        return [str(here)] if here.name == "tocsind" else [str(here), "tocsind"]
    script = here.with_name("tocsind")
    return [str(script)] if os.access(script, os.X_OK) else [str(here), "-m", "tocsind"]


def is_nameable(path: str) -> bool:
    """Whether systemd accepts it as the program of a unit: an absolute path, without quotes and backslashes."""
    return path.startswith("/") and path.isprintable() and not set(path) & set("\"'\\")


def quoted(words: Sequence[str]) -> str:
    """Words in the syntax of ExecStart=. In the first, the path, `$` is not special. See systemd.service(5), "Command lines"."""
    program, *arguments = words
    return " ".join([_quoted(program), *(_quoted(each).replace("$", "$$") for each in arguments)])


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    plain = word and all(each.isalnum() or each in "/._-+:@$%" for each in word)
    return escaped if plain else f'"{escaped}"'


def is_in_a_home(words: Sequence[str]) -> bool:
    """Whether ProtectHome=yes would hide the program."""
    return any(_is_below(path, _HOMES) for path in _paths(words))


def out_of_reach(words: Sequence[str]) -> str | None:
    """Why a service with a user of its own cannot run the program; None when it can."""
    for path in _paths(words):
        if _is_below(path, _PRIVATE):
            return f"{path} is in a temporary folder, and the service has its own"
        for each in (path, *path.parents):
            closed = _closed(each)
            if closed is not None:
                return closed
    return None


def _paths(words: Sequence[str]) -> Iterator[Path]:
    """The program and its link target; for tocsin's own script also the interpreter."""
    yield Path(words[0])
    yield Path(os.path.realpath(words[0]))
    if list(words) == own_program():
        yield Path(os.path.realpath(sys.executable))


def _is_below(path: Path, folders: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _closed(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if mode & stat.S_IXOTH else f"{path} is closed to other users (mode {stat.S_IMODE(mode):o})"
