"""The two sockets of a service manager: the notify socket, and the socket that it passes to the daemon."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Self

from tests.harness import PATIENCE

# The work of a manager between fork and exec: the socket becomes descriptor 3, and the variables name the new process.
_PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="tocsind.socket", WATCHDOG_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """A NOTIFY_SOCKET that also reads the sender's pid from the kernel."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(PATIENCE)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def receive(self) -> tuple[dict[str, str], int]:
        """Receive the next message: its assignments, and the pid of its sender."""
        message, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
        ((level, kind, raw),) = ancillary
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        pid, uid, _ = struct.unpack("3i", raw)
        assert uid == os.geteuid()
        return dict(line.split("=", 1) for line in message.decode().split("\n")), pid

    def receive_assignment(self, name: str) -> tuple[dict[str, str], int]:
        """Receive the next message that assigns `name`; only WATCHDOG=1 may come before it."""
        while name not in (received := self.receive())[0]:
            assert "WATCHDOG" in received[0], received
        return received

    def is_silent(self, seconds: float) -> bool:
        """Whether no message arrives for so many seconds."""
        self._socket.settimeout(seconds)
        try:
            self.receive()
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def discard(self) -> None:
        """Discard the messages so far."""
        while not self.is_silent(0.001):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def with_socket(passed: socket.socket, *command: str) -> list[str]:
    """A command line that passes a socket to `command` (default: `python -m tocsind`). Popen must pass the descriptor on."""
    program = command or (sys.executable, "-m", "tocsind")
    return [sys.executable, "-c", _PASS_SOCKET, str(passed.fileno()), *program]


class Listening(socket.socket):
    """A listening Unix socket that outlives the daemons that inherit it, as that of a socket unit does."""

    def __init__(self, path: Path) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.bind(str(path))
        path.chmod(0o660)
        self.listen(1024)

    def inheriting(self, *command: str) -> list[str]:
        """A command line that passes this socket to `command` (default: `python -m tocsind`); use it with `popen`."""
        return with_socket(self, *command)

    @property
    def popen(self) -> dict[str, Any]:
        """The arguments for Popen."""
        return {"pass_fds": (self.fileno(),)}
