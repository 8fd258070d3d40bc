"""Where things are. Client and daemon both ask here, so that they meet without being told.

A client has one more thing to find out: whose daemon it is for. Its user's own, where that has a socket; else the system's, for whoever may
write to that socket; and the spool goes with the socket, or nobody would take in what was left there.
"""

from __future__ import annotations

import os
import stat

from .loading import loading

ROOT_SOCKET = "/run/tocsin/tocsin.sock"
CONFIGURATIONS = ("alerts.toml", "/etc/tocsin/alerts.toml")
ROOT_STATE = "/var/lib/tocsin"
SERVICES = "/var/lib/"  # where systemd puts the state of services
SPOOL = "spool"  # below the state folder


def socket_path(given: str | None = None) -> str:
    """Where a client knocks: as given, else $TOCSIN_SOCKET, else as the configuration says, else at the nearest place."""
    return given or os.environ.get("TOCSIN_SOCKET") or _configured("socket") or _nearest_socket()


def spool_folder(state: str | None = None, socket: str | None = None) -> str:
    """The drop folder: $TOCSIN_SPOOL, else below the state folder, as given or as a client of `socket` finds it."""
    named = os.environ.get("TOCSIN_SPOOL")
    return named or os.path.join(state or state_behind(socket), SPOOL)  # noqa: PTH118 - pathlib costs the client 3 ms at import


def _nearest_socket() -> str:
    """The user's own place, unless nobody is there and the system's daemon lets this user in."""
    own = default_socket()
    if own != ROOT_SOCKET and not os.path.exists(own) and os.access(ROOT_SOCKET, os.W_OK):  # noqa: PTH110 - as above
        return ROOT_SOCKET
    return own


def state_behind(socket: str | None) -> str:
    """The state folder of the daemon that a client of `socket` speaks to."""
    given = _supervised_state()
    if given.startswith(SERVICES) and os.environ.get("INVOCATION_ID") and not _holds_journal(given):
        given = ""  # the client is a service of systemd's itself, and this is its own: no daemon looks into it
    default = ROOT_STATE if socket_path(socket) == ROOT_SOCKET else _default_state()
    return given or _configured("state") or default


def _holds_journal(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "journal.db"))  # noqa: PTH110, PTH118 - as above


def configuration_path() -> str | None:
    """The configuration that daemon and client find by themselves: $TOCSIN_CONFIG, else ./alerts.toml, else /etc/tocsin/alerts.toml."""
    named = os.environ.get("TOCSIN_CONFIG")
    return named or next((path for path in CONFIGURATIONS if os.path.exists(path)), None)  # noqa: PTH110 - as below


def autostart() -> bool:
    """Whether who finds no daemon shall start one: [client] autostart."""
    return _said("client", "autostart") is True


def _configured(key: str) -> str | None:
    found = _said("daemon", key)
    return found if isinstance(found, str) else None


def _said(table: str, key: str) -> object:
    """What the configuration says of `key`, if it does; whatever is wrong with it is for `tocsind check` to say."""
    path = configuration_path()
    if path is None:
        return None
    try:
        content = _read(path)
        if not any(key.encode() in line.partition(b"#")[0] for line in content.splitlines()):
            return None
        with loading:
            import tomllib  # noqa: PLC0415 - only who has such a configuration pays for it

        found: object = tomllib.loads(content.decode())[table][key]
    except Exception:  # noqa: BLE001 - a hand-off must not fail for a file that is the daemon's
        return None
    return found


def _read(path: str) -> bytes:
    """A file's content. What is no file (a pipe would keep us waiting for its writer) reads as empty."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def default_socket() -> str:
    """Root's or the user's own place."""
    if os.geteuid() == 0:
        return ROOT_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return os.path.join(runtime, "tocsin", "tocsin.sock")  # noqa: PTH118 - pathlib costs the client 3 ms at import
    temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - a private folder below it, made 0700 by the daemon
    return os.path.join(temporary, f"tocsin-{os.geteuid()}", "tocsin.sock")  # noqa: PTH118 - as above


def state_folder(configured: str | None = None) -> str:
    """The daemon's state: $STATE_DIRECTORY, else as configured, else root's or the user's own place."""
    return _supervised_state() or configured or _default_state()


def _supervised_state() -> str:
    return os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd names several with colons; the first is ours


def _default_state() -> str:
    if os.geteuid() == 0:
        return ROOT_STATE
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - as above
    return os.path.join(base, "tocsin")  # noqa: PTH118 - as above
