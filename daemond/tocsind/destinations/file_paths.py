"""Whether file destinations can be written where they would run: for `check`, for a start and for a reload.

What no waiting mends (the path is a folder, or leads through a file) disables the destination, and what goes there takes its fallback from
the first signal on. What may pass (a folder that is not writable: a volume may be mounted later) is a problem that status shows, and the
destination is tried all the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tocsin import trust
from tocsind.config import Config, FileOptions


def writable(config: Config, state: Path) -> Config:
    """The configuration as it can be on this machine's disks. Opens files and writes nothing; `state` is the state folder."""
    destinations, said = dict(config.destinations), []
    for name, each in config.destinations.items():
        if each.disabled is None and isinstance(each.options, FileOptions):
            path = state / each.options.path
            if reason := permanent_problem(path):
                destinations[name] = msgspec.structs.replace(each, disabled=reason)
            if reason or (reason := temporary_problem(path)):
                said.append(f"{config.places.get(name, config.source)}: {reason}")
    return msgspec.structs.replace(
        config,
        destinations=destinations,
        warnings=(*config.warnings, *(each for each in said if each not in config.warnings)),
        problems=(*config.problems, *(each for each in said if each not in config.problems)),
    )


def permanent_problem(path: Path) -> str | None:
    """Why no file of this path can ever be written."""
    try:
        if path.is_dir():
            return f"{path} is a folder; name a file in it"
        above = next(each for each in path.parents if os.path.lexists(each))
        return None if above.is_dir() else f"{above} is no folder, so there can be no {path}"
    except OSError:
        return None  # it cannot be seen, which the other question answers


def temporary_problem(path: Path) -> str | None:
    """Why the file cannot be written now."""
    try:
        os.close(trust.open_file(str(path), os.O_WRONLY | os.O_APPEND))
    except FileNotFoundError:
        return _cannot_be_made(path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return None


def _cannot_be_made(path: Path) -> str | None:
    above = next(each for each in path.parents if each.exists())
    if os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return None
    return f"{path} cannot be made: {trust.user(os.geteuid())} may not write to {above}"
