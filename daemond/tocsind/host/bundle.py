"""The form that we run in. The single binary (packaging/tocsin.spec) has two, and they differ in what a service manager sees."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path


class Bundle(StrEnum):
    """What was started."""

    PYTHON = "python"  # an interpreter, with us installed
    FOLDER = "folder"  # the binary with its libraries beside it: one process
    FILE = "file"  # the binary that unpacks itself: we are the child of its bootloader


def bundle_kind() -> Bundle:
    """This process's."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is None:
        return Bundle.PYTHON
    return Bundle.FOLDER if Path(bundle).is_relative_to(Path(sys.executable).parent) else Bundle.FILE
