"""How this process was installed. The single binary (packaging/tocsin.spec) has two forms, which a service manager sees differently."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path


class Bundle(StrEnum):
    """The kinds of installation."""

    PYTHON = "python"  # an interpreter with the packages installed
    FOLDER = "folder"  # the binary with its libraries beside it: one process
    FILE = "file"  # the binary that unpacks itself: this process is the child of its bootloader


def bundle_kind() -> Bundle:
    """The kind of this process."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is None:
        return Bundle.PYTHON
    return Bundle.FOLDER if Path(bundle).is_relative_to(Path(sys.executable).parent) else Bundle.FILE
