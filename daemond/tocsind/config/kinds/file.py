"""Kind "file": JSON lines in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tocsin import paths
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake
from tocsind.config.reserved_paths import own_name
from tocsind.config.values import text


class FileOptions(Options, frozen=True):
    """A relative path is below the state folder."""

    path: str

    @property
    def identity(self) -> str:
        return self.path


def options(_: Location, found: Mapping[str, Any]) -> tuple[FileOptions, str | None]:
    """The options; a file needs no secret, so it is never disabled here."""
    return FileOptions(path=found.get("path", "")), None


def _path(location: Location) -> str:
    path = paths.expanded(text(location))
    if os.path.normpath(path).split("/", 1)[0] == "..":
        raise Mistake("leaves the state folder; a path elsewhere is written in full, from / on")
    if name := own_name(path):
        raise Mistake(f"{name} in the state folder is tocsin's own; it needs a file of its own")
    return path


FIELDS = {"path": Field(_path, missing='missing; "alerts.jsonl" is below the state folder')}
KIND = Kind(FIELDS, options)
