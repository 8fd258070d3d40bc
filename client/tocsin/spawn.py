"""Starts a daemon that is detached from the caller's terminal, session, working folder, streams and descriptors.

A shell does the second fork: `sh -c 'tocsind ... &'` in a session of its own ends at once, and its child belongs to init. So no Python code
runs between a fork and an exec, which is not safe in a program with threads. The daemon logs to STATE/daemon.log, whose size it limits
itself (`--log-file`).

Variables of a supervisor are not passed on: the daemon would report READY in the caller's name, or use the caller's sockets.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from shutil import which

from . import configuration, notices, paths, trust
from .connection import Deadline

LOG = "daemon.log"  # below the state folder
_SCRIPT = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'
_SUPERVISORS = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")
_NEEDED = ("tocsind", "trio", "httpx", "msgspec")
UNIT = "tocsind.socket"
_UNIT_SECONDS = 2.0  # for `systemctl start`


def spawn(socket: str, state: str, lock: int, deadline: Deadline) -> None:
    """Start a daemon for this socket and state, which inherits the descriptor `lock` and no other.

    Raises OSError, FileNotFoundError where none is installed, SubprocessError.
    """
    if _by_systemd(socket, deadline):
        return
    log = os.path.join(state, LOG)  # noqa: PTH118 - paths are texts in all of this package
    os.close(trust.open_file(log, os.O_WRONLY | os.O_CREAT))  # with mode 0600, independent of the umask
    command = [*_daemon(), "run", *_configuration(), "--socket", socket, "--state", state, "--log-file", log]
    subprocess.run(  # noqa: S603 - the daemon's own command line, and no shell reads it
        ["/bin/sh", "-c", _SCRIPT, "sh", log, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=state,
        env=_environment(),
        pass_fds=(lock,),
        start_new_session=True,
        umask=0o077,
        timeout=deadline.left(),
        check=True,
    )


def _configuration() -> list[str]:
    """The daemon's arguments that name the configuration in use. Raises OSError.

    The daemon opens it by its absolute path, so no other user may be able to replace the working folder in between.
    """
    path = paths.configuration_path()
    if path is None:
        return []
    if path == configuration.HERE and not os.environ.get("TOCSIN_CONFIG"):
        try:
            trust.check_way(os.getcwd())  # noqa: PTH109 - as above
        except trust.Untrusted as error:
            notices.once(f"no daemon is started by ./{path}: {error.strerror}")
            raise
    return ["--config", os.path.abspath(path)]  # noqa: PTH100 - as above


def _environment() -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name not in _SUPERVISORS}
    if given.get("TOCSIN_SPOOL"):
        given["TOCSIN_SPOOL"] = os.path.abspath(given["TOCSIN_SPOOL"])  # noqa: PTH100 - as above
    if getattr(sys, "frozen", False):
        given["PYINSTALLER_RESET_ENVIRONMENT"] = (
            "1"  # or it would use the unpacked folder of this process, which is deleted when this process ends
        )
    return given


def _daemon() -> list[str]:
    """The command `tocsind`: of the single binary, of this interpreter, else the one on $PATH."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "tocsind"]
    if sys.executable and all(find_spec(name) for name in _NEEDED):
        return [sys.executable, "-P", "-m", "tocsind"]
    found = _program("tocsind")
    if found is None:
        raise FileNotFoundError("tocsind is not installed: pip install 'tocsin[daemon]'")
    return [found]


def _program(name: str) -> str | None:
    """A program on $PATH; not one in a relative folder of $PATH, which depends on the working folder."""
    found = which(name)
    return found if found and os.path.isabs(found) else None  # noqa: PTH117 - as above


def _by_systemd(socket: str, deadline: Deadline) -> bool:
    """Start the user's socket unit; False where the user's service manager does not run or has no unit for this socket."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or not os.path.exists(os.path.join(runtime, "systemd", "private")):  # noqa: PTH110, PTH118 - as above
        return False
    if not any(_listens_on(folder, socket, runtime) for folder in _unit_folders()):
        return False
    systemctl = _program("systemctl")
    if systemctl is None:
        return False
    with suppress(OSError, subprocess.SubprocessError):  # no answer is a no
        subprocess.run(  # noqa: S603 - as above
            [systemctl, "--user", "start", UNIT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=min(_UNIT_SECONDS, deadline.left()),
            check=True,
        )
        return True
    return False


def _unit_folders() -> list[str]:
    configured = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - as above
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 - as above
    own = [os.path.join(base, "systemd", "user") for base in (configured, data)]  # noqa: PTH118 - as above
    return [*own, "/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"]


def _listens_on(folder: str, socket: str, runtime: str) -> bool:
    """Whether there is a unit in this folder that listens on this socket."""
    try:
        with open(os.path.join(folder, UNIT), encoding="utf-8") as unit:  # noqa: PTH118, PTH123 - as above
            lines = [line.partition("=")[2].strip() for line in unit if line.startswith("ListenStream=")]
    except (OSError, UnicodeDecodeError):
        return False
    home = os.path.expanduser("~")  # noqa: PTH111 - as above
    return socket in [line.replace("%t", runtime).replace("%h", home) for line in lines]
