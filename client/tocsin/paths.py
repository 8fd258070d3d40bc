"""Where things are. Client and daemon both ask here, so that they meet without being told.

The socket: as given, $TOCSIN_SOCKET, `[daemon] socket`, else the usual place of this user (`own_sockets`). A daemon listens at the first of
those; a client takes the first where there is a socket, so a session's daemon and the same user's cron job, which has another environment,
meet. The state: $STATE_DIRECTORY, `[daemon] state`, else the usual place. The spool: $TOCSIN_SPOOL, else below the state.

A client has one more thing to find out: whose daemon it is for. Its user's own, where that has a socket; else the system's, for a user who
may write to that socket; and the spool goes with the socket, or no daemon would take in what was left there.

`~` is a home folder everywhere; a relative `socket` or `state` in the configuration would be another place in each working folder, so the
daemon refuses it and a client does not use it.
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


def socket_path(given: str | None = None) -> str:
    """Where a client connects: as given, else $TOCSIN_SOCKET, else as the configuration says, else at the nearest usual place."""
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
        given = ""  # the client is a service of systemd's itself, and this is its own: no daemon looks into it
    default = ROOT_STATE if socket_path(socket) == ROOT_SOCKET else _default_state()
    return given or _configured("state") or default


def _holds_journal(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "journal.db"))  # noqa: PTH110, PTH118 - as above


def daemon_users(socket: str | None) -> Collection[int]:
    """Whom a client of `socket` hands over to: root, its own user, and the owner of the daemon's state folder.

    The system's state folder counts for every socket: only root can have given it to its owner. $TOCSIN_DAEMON_UID names one more, for a
    container that sees the socket and no state folder.
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
    """The configuration that counts without being named to us: $TOCSIN_CONFIG, ./alerts.toml, /etc/tocsin/alerts.toml."""
    return configuration.find().path


def autostart() -> bool:
    """Whether a client that finds no daemon shall start one: [client] autostart, in a file that nobody else can change."""
    found = configuration.find()
    if _said(found, "client", "autostart") is not True:
        return False
    if found.complaint and not os.environ.get("TOCSIN_CONFIG"):
        notices.once(f"{found.path} starts no daemon: {found.complaint}")
        return False
    return True


def configuration_problem() -> str | None:
    """Why the configuration that counts cannot be read, as a sentence; None when it can, or there is none."""
    found = configuration.find()
    return f"the configuration {found.path} cannot be read ({found.trouble})" if found.error else None


def _configured(key: str) -> str | None:
    """A path of the configuration's table `daemon`."""
    found = configuration.find()
    if found.passed_over:
        notices.once(found.passed_over)
    if found.error:
        notices.once(f"the configuration {found.path} cannot be read ({found.trouble}): {_fallback()}")
    path = _said(found, "daemon", key)
    if not isinstance(path, str):
        return None
    if os.path.isabs(path := expanded(path)):  # noqa: PTH117 - as above
        return path
    notices.once(f"{found.path}: [daemon] {key} = {path!r} is relative and is not used; `tocsind check` says more")
    return None


def _fallback() -> str:
    """Where a client goes that cannot read what the configuration says."""
    socket = os.environ.get("TOCSIN_SOCKET") or _nearest_socket()
    state = _supervised_state() or (ROOT_STATE if socket == ROOT_SOCKET else _default_state())
    spool = os.environ.get("TOCSIN_SPOOL") or os.path.join(state, SPOOL)  # noqa: PTH118 - as above
    return f"signals go to {socket}, and to the spool {spool} while no daemon answers there"


def _said(found: configuration.Found, table: str, key: str) -> object:
    """What the configuration says of `key`, if it does; whatever is wrong with it is for `tocsind check` to say."""
    if not any(key.encode() in line.partition(b"#")[0] for line in found.content.splitlines()):
        return None
    try:
        said: object = lazy("tomllib").loads(found.text())[table][key]
    except Exception:  # noqa: BLE001 - a hand-off must not fail for a file that is the daemon's
        return None
    return said


def _prepare() -> None:
    found = configuration.find()
    for key in ("socket", "state"):
        _said(found, "daemon", key)


needed_at_exit(_prepare)


def expanded(path: str) -> str:
    """A path with its `~` put in full."""
    if path.startswith("~/") and "HOME" not in os.environ:
        return f"{_home()}{path[1:]}"
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111 - as above


def _home() -> str:
    """As os.path.expanduser finds it, which cannot while the interpreter closes: it imports `pwd` each time."""
    try:
        return str(lazy("pwd").getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return "~"


def default_socket() -> str:
    """Where a daemon of this user listens without being told."""
    return ROOT_SOCKET if os.geteuid() == 0 else own_sockets()[0]


def own_sockets() -> list[str]:
    """The places of this user's daemon, root's apart: the session's folder, the usual one of sessions, and private temporary ones.

    A session's folder that belongs to another user, as `su` leaves it behind, does not count.
    """
    runtime, usual = _absolute("XDG_RUNTIME_DIR"), f"{RUNTIMES}/{os.geteuid()}"
    folders = [f"{runtime}/tocsin"] if runtime and not _is_foreign(runtime) else []
    folders += [f"{usual}/tocsin"] if _is_own(usual) else []
    folders += _private_folders()
    return [f"{folder}/{_SOCKET}" for folder in dict.fromkeys(folders)]


def is_private(socket: str) -> bool:
    """Whether it lies in a folder for temporary files, where anybody could have made its folder: that must be ours with mode 0700."""
    return os.path.dirname(socket) in _private_folders()  # noqa: PTH120 - as above


def _private_folders() -> list[str]:
    temporary = dict.fromkeys((_absolute("TMPDIR") or "/tmp", "/tmp"))  # noqa: S108 - see is_private
    return [f"{folder.rstrip('/')}/tocsin-{os.geteuid()}" for folder in temporary]


def _nearest_socket() -> str:
    """The user's own place, unless no socket is there and the system's daemon lets this user in."""
    if os.geteuid() == 0:
        return ROOT_SOCKET
    own = own_sockets()
    for socket in own:
        if os.path.exists(socket) and (socket == own[0] or not is_private(socket) or _is_ours_alone(socket)):  # noqa: PTH110 - as above
            return socket
    return ROOT_SOCKET if os.access(ROOT_SOCKET, os.W_OK) else own[0]


def _is_ours_alone(socket: str) -> bool:
    try:
        check_private(socket)
    except OSError:
        return False
    return True


def check_private(socket: str) -> None:
    """Raises OSError unless the folder of a private socket is this user's own with mode 0700; Untrusted where it is another's."""
    folder = os.path.dirname(socket)  # noqa: PTH120 - as above
    trust.check_private(os.lstat(folder), folder)


def _is_own(folder: str) -> bool:
    """Whether it is there, belongs to this user, and nobody else may write to it."""
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
    """A variable that names a folder. The standard has relative ones ignored."""
    value = os.environ.get(name, "")
    return value if value.startswith("/") else None


def state_folder(configured: str | None = None) -> str:
    """The daemon's state: $STATE_DIRECTORY, else as configured, else root's or the user's own place."""
    return _supervised_state() or configured or _default_state()


def _supervised_state() -> str:
    return expanded(
        os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    )  # systemd names several with colons; the first is ours


def _default_state() -> str:
    if os.geteuid() == 0:
        return ROOT_STATE
    base = _absolute("XDG_STATE_HOME") or expanded("~/.local/state")
    return os.path.join(base, "tocsin")  # noqa: PTH118 - as above
