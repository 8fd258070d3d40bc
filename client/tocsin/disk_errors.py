"""Explains write errors. The kernel reports "No space left on device" for two causes with different remedies."""

from __future__ import annotations

import errno
import os

NO_INODES = "no inodes are left on its file system (see df -i), though there is space"


def reason(error: Exception, folder: str) -> str:
    """The error as text, which names inodes if those of `folder`'s file system are used up. Makes a system call; never raises."""
    if _is_about_room(error) and _is_out_of_inodes(folder):
        return NO_INODES
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_about_room(error: Exception) -> bool:
    """Whether space may be missing. SQLite has no errno; it reports that it is unable to "open" a file that it cannot create."""
    return getattr(error, "errno", None) == errno.ENOSPC or str(error).startswith("unable to open")


def _is_out_of_inodes(folder: str) -> bool:
    """Whether no file can be created there. File systems without a fixed number of inodes report a total of zero."""
    try:
        found = os.statvfs(_existing(folder))
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0


def _existing(folder: str) -> str:
    """The folder, or its nearest parent that exists."""
    folder = os.path.abspath(folder)  # noqa: PTH100 - pathlib costs the client 3 ms at import
    while not os.path.isdir(folder) and folder != "/":  # noqa: PTH112 - as above
        folder = os.path.dirname(folder)  # noqa: PTH120 - as above
    return folder
