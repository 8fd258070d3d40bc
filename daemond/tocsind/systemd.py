"""Telling the service manager how we are: sd_notify, by hand. https://www.freedesktop.org/software/systemd/man/sd_notify.html"""

from __future__ import annotations

import os
import socket
import time


def notify(*assignments: str) -> bool:
    """Send state to $NOTIFY_SOCKET; False when there is none or nobody listens. `@` begins an abstract name."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto("\n".join(assignments).encode(), name)
    except OSError:
        return False
    return True


def ready(status: str) -> bool:
    """We serve."""
    return notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")


def reloading() -> bool:
    """We read our configuration again; `ready` follows."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping() -> bool:
    """We leave."""
    return notify("STOPPING=1")
