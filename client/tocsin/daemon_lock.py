"""The lock that tells clients whether a daemon imports the spool."""

from __future__ import annotations

import fcntl
import os

DAEMON = ".daemon"  # in the spool: held locked by the daemon while it takes the spool in; what it contains is why it takes nothing
_ABSENT = "no daemon takes the spool at present; start one with `tocsind run`"


class DaemonLock:
    """Whether a daemon imports the spool: it locks a file there, which it makes at each start."""

    def __init__(self, path: str, owner: int) -> None:
        self._path = path
        self._owners = {0, owner}
        self._file = -1
        self.is_there = False

    def reason(self) -> str | None:
        """Why no daemon imports the spool; None when one does."""
        self.is_there = True
        if self._file >= 0 and self._is_held():
            return self._stated_reason()
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if os.fstat(self._file).st_uid in self._owners and self._is_held():
                return self._stated_reason()
        except OSError:
            pass
        self.close()
        self.is_there = False
        return _ABSENT

    def _is_held(self) -> bool:
        """Whether a daemon holds the lock; a file whose lock is free is closed."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        self.close()
        return False

    def _stated_reason(self) -> str | None:
        return os.pread(self._file, 256, 0).rstrip(b"\0").decode("utf-8", "replace") or None

    def close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
