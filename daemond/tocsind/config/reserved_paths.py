"""What in the state folder is the daemon's own: a file destination that wrote there would destroy what it depends on."""

from __future__ import annotations

import os
from pathlib import Path

_OWN = frozenset({"lock", "starting", "spool", "webhooks", "attachments"})
_FAMILIES = ("journal.", "daemon.log", "damaged-")  # each with what belongs to it


def own_name(path: str, folder: Path | None = None) -> str | None:
    """The name below the state folder that `path` means and that is taken; None when it may be written.

    With the `folder` at hand links are followed, and what is written in full is understood.
    """
    where = os.path.normpath(path)
    if folder is not None:
        where = os.path.relpath(os.path.realpath(folder / path), os.path.realpath(folder))
    name = where.split("/", 1)[0]
    return name if name in _OWN or name == "." or name.startswith(_FAMILIES) else None
