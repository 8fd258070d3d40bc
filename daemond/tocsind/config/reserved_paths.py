"""The daemon's own names in the state folder: a file destination that wrote there would destroy the daemon's data."""

from __future__ import annotations

import os
from pathlib import Path

_OWN = frozenset({"lock", "starting", "spool", "webhooks", "attachments"})
_FAMILIES = ("journal.", "daemon.log", "damaged-")  # prefixes of its own files and folders


def own_name(path: str, folder: Path | None = None) -> str | None:
    """The reserved name below the state folder that `path` leads to; None when the path may be used.

    With `folder` (the state folder), links are followed and absolute paths are recognized.
    """
    where = os.path.normpath(path)
    if folder is not None:
        where = os.path.relpath(os.path.realpath(folder / path), os.path.realpath(folder))
    name = where.split("/", 1)[0]
    return name if name in _OWN or name == "." or name.startswith(_FAMILIES) else None
