"""Programs that the daemon starts: they run with its rights, so no other user may be able to change or replace them."""

from __future__ import annotations

import os
from pathlib import Path

from tocsin import trust

from .reader import Location, Mistake, shown
from .values import folder_path


def program(location: Location) -> str:
    """The absolute path of a program. A missing one is no mistake; see `missing`."""
    path = folder_path(location)
    problem = problem_with(path)
    if problem and not missing(path):
        raise Mistake(f"{shown(path)} cannot be used: {problem}")
    return path


def missing(path: str) -> str | None:
    """Why a destination with this program is disabled: it does not exist."""
    return None if Path(path).exists() else f"{path} does not exist"


def is_program(path: str) -> bool:
    """Whether a file begins as programs do: a script with #!, or machine code. One that cannot be read counts as a program."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block
    except OSError:
        return True
    try:
        return os.read(file, 4).startswith((b"#!", b"\x7fELF"))
    except OSError:
        return True
    finally:
        os.close(file)


def problem_with(path: str) -> str | None:
    """Why a program must not or cannot be started; None when it can. Blocks for a few system calls."""
    try:
        file = trust.open_file(path, os.O_PATH, orders=True)
        try:
            if not os.access(f"/proc/self/fd/{file}", os.X_OK):
                return "it is not executable"
        finally:
            os.close(file)
        trust.check_way(str(Path(path).resolve().parent))
    except OSError as error:
        return error.strerror or "it cannot be opened"
    return None
