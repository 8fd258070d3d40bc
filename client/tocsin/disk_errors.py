"""Why something could not be written. The kernel says "No space left on device" for two things that need different hands."""

from __future__ import annotations

import errno
import os

NO_INODES = "no inodes are left on its file system (see df -i), though there is space"


def reason(error: Exception, folder: str) -> str:
    """The error in words; that the inodes of `folder`'s file system are used up, where that is it. Takes a system call, raises nothing."""
    if _is_about_room(error) and _is_out_of_inodes(folder):
        return NO_INODES
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_about_room(error: Exception) -> bool:
    """SQLite, which has no errno, cannot "open" a file that it cannot make."""
    return getattr(error, "errno", None) == errno.ENOSPC or str(error).startswith("unable to open")


def _is_out_of_inodes(folder: str) -> bool:
    """Whether no file can be made there. File systems that make inodes as they need them say that they have none at all."""
    try:
        found = os.statvfs(_existing(folder))
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0


def _existing(folder: str) -> str:
    """The folder, or the nearest one above it that is there."""
    folder = os.path.abspath(folder)  # noqa: PTH100 - pathlib costs the client 3 ms at import
    while not os.path.isdir(folder) and folder != "/":  # noqa: PTH112 - as above
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    return folder
