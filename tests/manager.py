"""A service manager's two ends, without one: the socket that it is told on, and the one that it hands down."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Self

from tests.harness import PATIENCE

# What a manager does between fork and exec: the socket becomes descriptor 3, and the variables name the process to be.
_HAND_DOWN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="tocsind.socket", WATCHDOG_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """A NOTIFY_SOCKET that also asks the kernel who writes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(PATIENCE)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self) -> tuple[dict[str, str], int]:
        """The next message's assignments, and the pid of its sender."""
        message, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
        ((level, kind, raw),) = ancillary
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        pid, uid, _ = struct.unpack("3i", raw)
        assert uid == os.geteuid()
        return dict(line.split("=", 1) for line in message.decode().split("\n")), pid

    def hear_of(self, name: str) -> tuple[dict[str, str], int]:
        """The next message that assigns `name`; signs of life may come before it, and nothing else."""
        while name not in (heard := self.hear())[0]:
            assert "WATCHDOG" in heard[0], heard
        return heard

    def is_silent(self, seconds: float) -> bool:
        """Whether it hears nothing for so long."""
        self._socket.settimeout(seconds)
        try:
            self.hear()
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def forget(self) -> None:
        """What was told up to now."""
        while not self.is_silent(0.001):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def handed_down(to_hand: socket.socket, *command: str) -> list[str]:
    """A command line that begins `command` (default: `python -m tocsind`) with a socket, which Popen must pass on."""
    program = command or (sys.executable, "-m", "tocsind")
    return [sys.executable, "-c", _HAND_DOWN, str(to_hand.fileno()), *program]


class Listening(socket.socket):
    """A listening Unix socket that outlives the daemons to which it is handed down, as a socket unit's does."""

    def __init__(self, path: Path) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.bind(str(path))
        path.chmod(0o660)
        self.listen(1024)

    def handed_to(self, *command: str) -> list[str]:
        """A command line that begins `command` (default: `python -m tocsind`) with this socket; use it with `popen`."""
        return handed_down(self, *command)

    @property
    def popen(self) -> dict[str, Any]:
        """What Popen must be told."""
        return {"pass_fds": (self.fileno(),)}
