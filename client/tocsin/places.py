"""Where things are. Client and daemon both ask here, so that they meet without being told."""

from __future__ import annotations

import os

ROOT_SOCKET = "/run/tocsin/tocsin.sock"
ROOT_STATE = "/var/lib/tocsin"


def socket_path(given: str | None = None) -> str:
    """The daemon's socket: as given, else $TOCSIN_SOCKET, else root's or the user's own place."""
    return given or os.environ.get("TOCSIN_SOCKET") or _default_socket()


def _default_socket() -> str:
    if os.geteuid() == 0:
        return ROOT_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "tocsin", "tocsin.sock")  # noqa: PTH118 - pathlib costs the client 3 ms at import
    temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - a private folder below it, made 0700 by the daemon
    return os.path.join(temporary, f"tocsin-{os.geteuid()}", "tocsin.sock")  # noqa: PTH118 - as above


def state_folder(configured: str | None = None) -> str:
    """The daemon's state: $STATE_DIRECTORY, else as configured, else root's or the user's own place."""
    return os.environ.get("STATE_DIRECTORY") or configured or _default_state()


def _default_state() -> str:
    if os.geteuid() == 0:
        return ROOT_STATE
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - as above
    return os.path.join(base, "tocsin")  # noqa: PTH118 - as above
