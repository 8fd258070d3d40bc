"""Start by first use: a daemon of one's own, when none runs, begun by whoever needs it first.

    who        `tocsin.compat.on_strategy_start()`, which waits until it answers; and with `[client] autostart = true` in alerts.toml any
               hand-off that finds no daemon at its socket: that one is spooled and waits for nothing, for a thread launches. The end of the
               program waits for that thread, or nothing would come of the only hand-off of a script
    once       however many begin together: a lock below the state folder lets one of them launch, and the others wait for the socket. The
               daemon inherits that lock, so that nobody launches a second while the first is on its way; the kernel lets go of it, however
               the daemon ends. Should two be launched after all, the second leaves: the daemon itself is alone on its state
    which      a socket unit of systemd's that listens here, where the user's manager runs; else `tocsind run` by this interpreter, else
               the one on $PATH (`launching`)
    the same   socket, state and configuration that this client would use, as absolute paths: the daemon has another working folder
    its end    SIGTERM, as for any daemon: `kill $(cat STATE/lock)`, where `status` tells the same pid. It outlives who began it, for it
               is everybody's; nothing is lost when it ends, and the next who needs it begins another

Nothing here raises: a daemon that does not come up leaves its reason in STATE/daemon.log, and signals in the spool.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress
from threading import Thread

from . import notices, paths, trust
from .connection import Deadline, connect

PATIENCE = 5.0  # seconds for a daemon to come up in: half of one on an idle machine
AGAIN = 10.0  # seconds between two attempts by hand-offs of one process
LOCK = "starting"  # below the state folder: who launches holds it, and then the daemon that he launched, to its end
_NAP = 0.01
_RELAUNCH = 1.0  # seconds between two attempts of one wait
_KNOCK = 0.1  # seconds for a connection: more takes only one whose backlog is full
_next_attempt = 0.0


def start(socket: str | None = None, patience: float = PATIENCE) -> bool:
    """See to it that a daemon serves the socket, as given or by default; whether one does, within `patience` seconds. Never raises."""
    try:
        return _started(socket, Deadline(patience))
    except Exception:  # noqa: BLE001 - no strategy shall fail for want of a daemon
        return False


def begin(socket: str | None = None) -> None:
    """Launch a daemon, and wait for nothing: for a hand-off that found nobody, where alerts.toml says `autostart`. Never raises."""
    global _next_attempt
    now = time.monotonic()
    if now < _next_attempt:
        return
    _next_attempt = now + AGAIN
    if sys.is_finalizing():  # a thread that is begun now may never run
        return
    with suppress(RuntimeError):  # there are too many
        Thread(target=_launch_quietly, args=(socket,), name="tocsin.autostart", daemon=False).start()


def _launch_quietly(socket: str | None) -> None:
    with suppress(Exception):  # the hand-off is spooled and told so already; the daemon's log has the rest
        _launch_once(socket, Deadline(PATIENCE))


def is_served(socket: str | None = None) -> bool:
    """Whether somebody listens on the socket whom a client would trust."""
    try:
        connect(socket, Deadline(_KNOCK)).close()
    except TimeoutError:
        return True  # its backlog is full
    except OSError:
        return False
    return True


def _started(socket: str | None, deadline: Deadline) -> bool:
    launch = 0.0
    while not is_served(socket):
        try:
            time.sleep(min(_NAP, deadline.left()))
        except TimeoutError:
            return False
        if time.monotonic() > launch:  # again, for the first may have met one on its way out
            launch = time.monotonic() + _RELAUNCH
            _launch_once(socket, deadline)
    return True


def _launch_once(socket: str | None, deadline: Deadline) -> None:
    """Launch a daemon, unless somebody just did, or does. Raises OSError."""
    from . import spawn  # noqa: PLC0415 - who finds a daemon, as nearly everybody does, does not need it

    state = os.path.abspath(paths.state_of_socket(socket))  # noqa: PTH100 - pathlib costs the client 3 ms at import
    trust.make_folder(state)
    try:
        lock = _opened_lock(state)
    except trust.Untrusted as error:
        notices.once(f"no daemon is started: the state folder {state} is not this user's alone: {error.strerror}")
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_served(socket):
            path = os.path.abspath(paths.socket_path(socket))  # noqa: PTH100 - as above
            spawn.spawn(path, state, lock, deadline)
    except BlockingIOError:
        pass  # somebody else is at it, or whom he launched is on its way
    finally:
        os.close(lock)


def _opened_lock(state: str) -> int:
    """The file that says who launches. Raises OSError, Untrusted for a folder in which another user could have put a link in its place."""
    folder = trust.open_folder(state, by=(os.geteuid(),), orders=True)
    try:
        return trust.open_file(LOCK, os.O_RDWR | os.O_CREAT, dir_fd=folder, follow=False)
    finally:
        os.close(folder)
