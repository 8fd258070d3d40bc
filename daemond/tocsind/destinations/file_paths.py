"""Whether file destinations can be written on this machine: for `check`, at start and on reload.

A path that can never be written (it is a folder, or leads through a file) disables the destination, and its signals take the fallback from
the first one on. A problem that may pass (a folder that is not writable: a volume may be mounted later) shows in status, and the
destination is tried all the same.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tocsin import trust
from tocsind.config import Config


def writable(config: Config, state: Path) -> Config:
    """The configuration with unwritable file destinations disabled. Opens files, writes nothing; `state` is the state folder."""
    destinations, said = dict(config.destinations), []
    for name, each in config.destinations.items():
        if each.disabled is None and each.options.path is not None:
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
    """Why no file at this path can ever be written."""
    try:
        if path.is_dir():
            return f"{path} is a folder; name a file in it"
        above = next(each for each in path.parents if os.path.lexists(each))
        return None if above.is_dir() else f"{above} is no folder, so there can be no {path}"
    except OSError:
        return None  # not permitted to look: `temporary_problem` reports it


def temporary_problem(path: Path) -> str | None:
    """Why the file cannot be written at present."""
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
