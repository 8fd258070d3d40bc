"""The paths of socket, state and spool. Client and daemon share this module, so that they agree without configuration.

    socket   as given, $TOCSIN_SOCKET, `[daemon] socket`, else the usual path of this user (`own_sockets`). A daemon listens on the first of
             those; a client takes the first that exists, so a cron job finds the daemon of the same user's session, which has another
             environment
    state    $STATE_DIRECTORY, `[daemon] state`, else the usual path
    spool    $TOCSIN_SPOOL, else below the state

A client uses the daemon of its own user, where that has a socket; else the system's, if the user may write to its socket. The spool belongs
to the socket, or no daemon would read it.

`~` is expanded everywhere. A relative `socket` or `state` in the configuration would depend on the working folder: the daemon refuses it,
and a client ignores it.
"""

from __future__ import annotations

import os

from . import configuration, notices, trust
from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

ROOT_SOCKET = "/run/tocsin/tocsin.sock"
ROOT_STATE = "/var/lib/tocsin"
RUNTIMES = "/run/user"  # where sessions have their XDG_RUNTIME_DIR
SERVICES = "/var/lib/"  # where systemd puts the state of services
SPOOL = "spool"  # below the state folder
_SOCKET = "tocsin.sock"
_VARIABLES = (
    "TOCSIN_SOCKET",
    "TOCSIN_SPOOL",
    "TOCSIN_CONFIG",
    "STATE_DIRECTORY",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "HOME",
)


def variables() -> tuple[str | None, ...]:
    """The environment as far as it chooses socket, state and spool; cheap enough for each hand-off."""
    return tuple(map(os.environ.get, _VARIABLES))


def socket_path(given: str | None = None) -> str:
    """The socket that a client connects to: as given, else $TOCSIN_SOCKET, else as configured, else the first usual one that exists."""
    named = given or os.environ.get("TOCSIN_SOCKET")
    return expanded(named) if named else _configured("socket") or _nearest_socket()


def spool_folder(state: str | None = None, socket: str | None = None) -> str:
    """The spool: $TOCSIN_SPOOL, else below the state folder, as given or as a client of `socket` finds it."""
    named = os.environ.get("TOCSIN_SPOOL")
    if named:
        return expanded(named)
    return os.path.join(state or state_of_socket(socket), SPOOL)  # noqa: PTH118 - pathlib costs the client 3 ms at import


def state_of_socket(socket: str | None) -> str:
    """The state folder of the daemon that a client of `socket` speaks to."""
    given = _supervised_state()
    if given.startswith(SERVICES) and os.environ.get("INVOCATION_ID") and not _holds_journal(given):
        given = ""  # the client is a systemd service itself, and this is its own folder, which no daemon reads
    default = ROOT_STATE if socket_path(socket) == ROOT_SOCKET else _default_state()
    return given or _configured("state") or default


def _holds_journal(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "journal.db"))  # noqa: PTH110, PTH118 - as above


def daemon_users(socket: str | None) -> Collection[int]:
    """The uids of listeners that a client of `socket` trusts: root, its own user, and the owner of the daemon's state folder.

    The owner of the system's state folder counts for every socket, because only root can have made it so. $TOCSIN_DAEMON_UID names a
    further uid, for a container that sees the socket and no state folder.
    """
    found = set(trust.owners())
    for folder in (state_of_socket(socket), ROOT_STATE):
        try:
            found.add(os.stat(folder).st_uid)  # noqa: PTH116 - as above
        except OSError:
            continue
    if trust.is_partial_namespace():
        found.discard(trust.OVERFLOW)  # the kernel shows every foreign uid as this one
    named = os.environ.get("TOCSIN_DAEMON_UID", "")
    return found | {int(named)} if named.isdecimal() else found


def configuration_path() -> str | None:
    """The configuration that is used without --config: $TOCSIN_CONFIG, ./alerts.toml, /etc/tocsin/alerts.toml."""
    return configuration.find().path


def autostart() -> bool:
    """Whether a client starts a daemon where none runs: [client] autostart, in a file that no other user can change."""
    found = configuration.find()
    if _value_of(found, "client", "autostart") is not True:
        return False
    if found.complaint and not os.environ.get("TOCSIN_CONFIG"):
        notices.once(f"{found.path} starts no daemon: {found.complaint}")
        return False
    return True


def configuration_problem() -> str | None:
    """Why the configuration cannot be read, as a sentence; None when it can, or there is none."""
    found = configuration.find()
    return f"the configuration {found.path} cannot be read ({found.trouble})" if found.error else None


def _configured(key: str) -> str | None:
    """A path in the table `daemon` of the configuration."""
    found = configuration.find()
    if found.passed_over:
        notices.once(found.passed_over)
    if found.error:
        notices.once(f"the configuration {found.path} cannot be read ({found.trouble}): {_fallback()}")
    path = _value_of(found, "daemon", key)
    if not isinstance(path, str):
        return None
    if os.path.isabs(path := expanded(path)):  # noqa: PTH117 - as above
        return path
    notices.once(f"{found.path}: [daemon] {key} = {path!r} is relative and is ignored; see `tocsind check`")
    return None


def _fallback() -> str:
    """The paths that a client uses when it cannot read the configuration, as a sentence."""
    socket = os.environ.get("TOCSIN_SOCKET") or _nearest_socket()
    state = _supervised_state() or (ROOT_STATE if socket == ROOT_SOCKET else _default_state())
    spool = os.environ.get("TOCSIN_SPOOL") or os.path.join(state, SPOOL)  # noqa: PTH118 - as above
    return f"signals go to {socket}, and to the spool {spool} while no daemon answers there"


def _value_of(found: configuration.Found, table: str, key: str) -> object:
    """The value of `key` in the configuration; None where it has none, or is no TOML, which a notice says once."""
    if not any(key.encode() in line.partition(b"#")[0] for line in found.content.splitlines()):
        return None
    held = _tables(found).get(table)
    return held.get(key) if isinstance(held, dict) else None


def _tables(found: configuration.Found) -> dict[str, object]:
    try:
        tables: dict[str, object] = lazy("tomllib").loads(found.text())
    except Exception as error:  # noqa: BLE001 - a hand-off must not fail because of an error in the daemon's file
        notices.once(f"the configuration {found.path} cannot be read ({error}; see `tocsind check`): {_fallback()}")
        return {}
    return tables


def _prepare() -> None:
    found = configuration.find()
    for key in ("socket", "state"):
        _value_of(found, "daemon", key)


needed_at_exit(_prepare)


def expanded(path: str) -> str:
    """A path with `~` expanded."""
    if path.startswith("~/") and "HOME" not in os.environ:
        return f"{_home()}{path[1:]}"
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111 - as above


def _home() -> str:
    """The home folder. os.path.expanduser fails while the interpreter closes, because it imports `pwd` at each call."""
    try:
        return str(lazy("pwd").getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return "~"


def default_socket() -> str:
    """The socket that a daemon of this user listens on by default."""
    return ROOT_SOCKET if os.geteuid() == 0 else own_sockets()[0]


def own_sockets() -> list[str]:
    """The usual sockets of a user's daemon, except root's: below XDG_RUNTIME_DIR, below /run/user, and in private temporary folders.

    An XDG_RUNTIME_DIR that belongs to another user, as `su` leaves it in the environment, is ignored.
    """
    runtime, usual = _absolute("XDG_RUNTIME_DIR"), f"{RUNTIMES}/{os.geteuid()}"
    folders = [f"{runtime}/tocsin"] if runtime and not _is_foreign(runtime) else []
    folders += [f"{usual}/tocsin"] if _is_own(usual) else []
    folders += _private_folders()
    return [f"{folder}/{_SOCKET}" for folder in dict.fromkeys(folders)]


def is_private(socket: str) -> bool:
    """Whether it is in a folder for temporary files, where any user can create folders: its folder must be this user's, with mode 0700."""
    return os.path.dirname(socket) in _private_folders()  # noqa: PTH120 - as above


def _private_folders() -> list[str]:
    temporary = dict.fromkeys((_absolute("TMPDIR") or "/tmp", "/tmp"))  # noqa: S108 - see is_private
    return [f"{folder.rstrip('/')}/tocsin-{os.geteuid()}" for folder in temporary]


def _nearest_socket() -> str:
    """The user's own socket; the system's where there is none of the user's, and the user may connect to it."""
    if os.geteuid() == 0:
        return ROOT_SOCKET
    own = own_sockets()
    for socket in own:
        if os.path.exists(socket) and (socket == own[0] or not is_private(socket) or _is_own_private(socket)):  # noqa: PTH110 - as above
            return socket
    return ROOT_SOCKET if os.access(ROOT_SOCKET, os.W_OK) else own[0]


def _is_own_private(socket: str) -> bool:
    try:
        check_private(socket)
    except OSError:
        return False
    return True


def check_private(socket: str) -> None:
    """Raises OSError unless the folder of a private socket belongs to this user and has mode 0700; Untrusted for another user's."""
    folder = os.path.dirname(socket)  # noqa: PTH120 - as above
    trust.check_private(os.lstat(folder), folder)


def _is_own(folder: str) -> bool:
    """Whether it exists, belongs to this user, and no other user may write to it."""
    try:
        found = os.stat(folder)  # noqa: PTH116 - as above
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not trust.others_may_write(found)


def _is_foreign(folder: str) -> bool:
    try:
        return os.stat(folder).st_uid not in trust.owners()  # noqa: PTH116 - as above
    except OSError:
        return False


def _absolute(name: str) -> str | None:
    """The value of a variable that names a folder. Relative ones are ignored, as the XDG specification requires."""
    value = os.environ.get(name, "")
    return value if value.startswith("/") else None


def state_folder(configured: str | None = None) -> str:
    """The daemon's state folder: $STATE_DIRECTORY, else as configured, else the usual one of root or the user."""
    return _supervised_state() or configured or _default_state()


def _supervised_state() -> str:
    return expanded(os.environ.get("STATE_DIRECTORY", "").split(":")[0])  # systemd separates several with colons


def _default_state() -> str:
    if os.geteuid() == 0:
        return ROOT_STATE
    base = _absolute("XDG_STATE_HOME") or expanded("~/.local/state")
    return os.path.join(base, "tocsin")  # noqa: PTH118 - as above
