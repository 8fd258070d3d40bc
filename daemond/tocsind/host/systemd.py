"""The service manager's protocols, without libsystemd: the inherited socket, and notifications.

    sd_listen_fds(3)   https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html
    sd_notify(3)       https://www.freedesktop.org/software/systemd/man/sd_notify.html

The variables name the process that they are meant for, so that a child process ignores them. A single-file binary is the exception: the
manager started its bootloader, and this process is the bootloader's child.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from tocsind.errors import EXIT_CONFIGURATION, DaemonError

FIRST_FD = 3  # SD_LISTEN_FDS_START
_PATIENCE = 1.0  # seconds; a manager whose queue is full must not block the daemon longer


class WrongSocket(DaemonError):  # noqa: N818 - names the condition
    """The service manager passed a descriptor that the daemon cannot serve on."""

    exit_code = EXIT_CONFIGURATION


def inherited_socket() -> socket.socket | None:
    """The listening socket that the service manager passed; None when there is none. Call once: it removes the variables.

    Raises WrongSocket when it is no listening Unix stream socket, or one of several.
    """
    pid, count, names = (os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if not _is_this_process(pid) or not count.isdecimal() or int(count) == 0:
        return None
    if int(count) != 1:
        raise WrongSocket(
            f"{count} sockets were handed down ({names}): tocsind takes one, so one ListenStream= it must be"
        )
    return _checked(FIRST_FD)


def _checked(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it takes no keywords
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise WrongSocket(f"descriptor {descriptor} was handed down and is no socket: {error.strerror}") from None
    listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    is_unix_listener = (found.family, found.type, listens) == (socket.AF_UNIX, socket.SOCK_STREAM, 1)
    if is_unix_listener and str(found.getsockname()).startswith("/"):
        return found
    found.close()
    raise WrongSocket(
        f"what was handed down listens on no path ({found.family.name}, {found.type.name}): "
        "in the socket unit, ListenStream= must be a path, and Accept= no"
    )


def notify(*assignments: str, patience: float = _PATIENCE) -> bool:
    """Send state to $NOTIFY_SOCKET; False when there is none, no process listens, or its queue stays full. Blocks for `patience` seconds
    at most. `@` begins an abstract name.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(patience)
            out.sendto("\n".join(assignments).encode(), name)
    except OSError:
        return False
    return True


def ready() -> bool:
    """Notify: the daemon serves."""
    return notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=serving")


def reloading() -> bool:
    """Notify: the daemon reads its configuration again. Call `ready` after it."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reading the configuration")


def stopping() -> bool:
    """Notify: the daemon stops."""
    return notify("STOPPING=1", "STATUS=finishing what is in flight")


def ping_watchdog() -> bool:
    """Notify: journal and lanes make progress. Without these pings the manager restarts the daemon. Does not block."""
    return notify("WATCHDOG=1", "STATUS=serving", patience=0)


def notify_status(problem: str) -> bool:
    """Notify: what makes no progress, for `systemctl status`. Does not block."""
    return notify(f"STATUS={' '.join(problem.split())}", patience=0)


def watchdog_interval() -> float | None:
    """Seconds between two watchdog pings: half of the manager's timeout; None when it expects no pings from this process."""
    wanted, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not wanted.isdecimal() or int(wanted) == 0 or not (pid is None or _is_this_process(pid)):
        return None
    return int(wanted) / 2 / 1_000_000


def _is_this_process(pid: str) -> bool:
    return pid == str(os.getpid()) or (hasattr(sys, "frozen") and pid == str(os.getppid()))
