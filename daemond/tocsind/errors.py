"""Errors that end the daemon, each with the exit code that the manual names. Failures that are to be expected are outcomes, not
exceptions.
"""

from __future__ import annotations

EXIT_INTERNAL = 70
EXIT_CANNOT_WRITE = 73
EXIT_TRY_AGAIN = 75
EXIT_NO_PERMISSION = 77
EXIT_CONFIGURATION = 78


class DaemonError(Exception):
    """The daemon cannot continue. The text says what, why and what to do."""

    exit_code = EXIT_INTERNAL


class StateLocked(DaemonError):  # noqa: N818 - names the condition
    """Another daemon serves this state folder or socket."""

    exit_code = EXIT_TRY_AGAIN


class CannotWrite(DaemonError):  # noqa: N818 - names the condition
    """The state folder or the socket cannot be created."""

    exit_code = EXIT_CANNOT_WRITE


class NotPermitted(DaemonError):  # noqa: N818 - names the condition
    """A file or folder that the daemon depends on belongs to another user, or others may change it."""

    exit_code = EXIT_NO_PERMISSION


class StorageFailed(DaemonError):  # noqa: N818 - names the event
    """A sync or a write of the journal failed. Acknowledged signals are on disk; only the next start can find out about the rest."""

    exit_code = EXIT_CANNOT_WRITE


class StorageLost(StorageFailed):
    """The journal's files were deleted, moved or replaced while it was open. The next start will not find what is written now."""


class StorageFull(Exception):  # noqa: N818 - names the condition; a refusal to one request, not the daemon's end
    """The disk is full: this write did not happen."""
