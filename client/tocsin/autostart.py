"""Autostart: starts a daemon of the same user when none runs.

    when       `tocsin.compat.on_strategy_start()` starts one and waits until it answers. With `[client] autostart = true` in alerts.toml
               every hand-off that finds no daemon at its socket starts one from a thread; the hand-off itself is spooled and does not wait.
               The end of the program waits for that thread, so that a script with a single hand-off starts a daemon, too
    once       a lock below the state folder lets one process start the daemon; the others wait for the socket. The daemon inherits the
               lock, so that no second one is started while the first comes up, and the kernel releases it when the daemon ends. If two are
               started nevertheless, the second exits: the daemon locks its state
    which      the user's systemd socket unit, where the user's service manager runs and has one; else `tocsind run` by this interpreter,
               else the one on $PATH (`spawn`)
    settings   socket, state and configuration of this client, as absolute paths: the daemon has another working folder
    stop       SIGTERM, as for any daemon: `kill $(cat STATE/lock)`; `status` shows the same pid. The daemon goes on when the program that
               started it ends. No signal is lost when it is stopped, and the next hand-off starts another

Nothing here raises. A daemon that fails to start logs the reason to STATE/daemon.log, and the signals stay in the spool.
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

PATIENCE = 5.0  # seconds for a daemon to start, which takes half a second on an idle machine
AGAIN = 10.0  # seconds between two attempts by hand-offs of one process
LOCK = "starting"  # below the state folder: held by the process that starts the daemon, and then by the daemon
_NAP = 0.01
_RELAUNCH = 1.0  # seconds between two attempts of one wait
_CONNECT_SECONDS = 0.1  # a connection takes longer only when the backlog is full
_next_attempt = 0.0


def start(socket: str | None = None, patience: float = PATIENCE) -> bool:
    """Start a daemon for the socket unless one runs. Whether one answers within `patience` seconds. Never raises."""
    try:
        return _started(socket, Deadline(patience))
    except Exception:  # noqa: BLE001 - a strategy must not fail because no daemon can be started
        return False


def begin(socket: str | None = None) -> None:
    """Start a daemon from a thread, without waiting: for a hand-off that found no daemon, with `autostart`. Never raises."""
    global _next_attempt
    now = time.monotonic()
    if now < _next_attempt:
        return
    _next_attempt = now + AGAIN
    if sys.is_finalizing():  # a thread that is started now may never run
        return
    with suppress(RuntimeError):  # there are too many threads
        Thread(target=_launch_quietly, args=(socket,), name="tocsin.autostart", daemon=False).start()


def _launch_quietly(socket: str | None) -> None:
    with suppress(Exception):  # the hand-off is spooled already; the daemon's log has the reason
        _launch_once(socket, Deadline(PATIENCE))


def is_served(socket: str | None = None) -> bool:
    """Whether a trusted process listens on the socket."""
    try:
        connect(socket, Deadline(_CONNECT_SECONDS)).close()
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
        if time.monotonic() > launch:  # repeated: the first attempt may have met a daemon that was stopping
            launch = time.monotonic() + _RELAUNCH
            _launch_once(socket, deadline)
    return True


def _launch_once(socket: str | None, deadline: Deadline) -> None:
    """Start a daemon, unless another process is starting one. Raises OSError."""
    from . import spawn  # noqa: PLC0415 - not needed where a daemon runs

    state = os.path.abspath(paths.state_of_socket(socket))  # noqa: PTH100 - pathlib costs the client 3 ms at import
    trust.make_folder(state)
    try:
        lock = _opened_lock(state)
    except trust.Untrusted as error:
        notices.once(f"no daemon is started: other users may change the state folder {state}: {error.strerror}")
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_served(socket):
            path = os.path.abspath(paths.socket_path(socket))  # noqa: PTH100 - as above
            spawn.spawn(path, state, lock, deadline)
    except BlockingIOError:
        pass  # another process is starting a daemon, or has started one that comes up
    finally:
        os.close(lock)


def _opened_lock(state: str) -> int:
    """Open the lock's file. Raises OSError, and Untrusted for a folder in which another user could replace it by a link."""
    folder = trust.open_folder(state, by=(os.geteuid(),), orders=True)
    try:
        return trust.open_file(LOCK, os.O_RDWR | os.O_CREAT, dir_fd=folder, follow=False)
    finally:
        os.close(folder)
