"""A process of this machine, by pid, identity and boot, and how it ended.

The identity distinguishes processes that have had the same pid: the inode of the pidfd, which no two processes of one boot share (since
Linux 6.9), else the start time in /proc, which a service with ProtectProc=invisible reads of its own user's processes only. Without either
the process is watched all the same, but not again after a restart of the daemon.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from pathlib import Path

import msgspec

from tocsin.outbox_format import boot_id

_START, _EXIT_CODE = (
    22,
    52,
)  # fields of /proc/PID/stat, counted from 1; the second one is zero for a reader without permission
_NAME_FIELDS = 2  # those that stand before and in the parentheses
_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO: _IOWR(0xFF, 11, 64 bytes), since Linux 6.13
_INFO_EXIT = 1 << 3  # the exit code, since Linux 6.15, once the process is reaped
_INFO = struct.Struct("<QQ11Ii")  # mask, cgroup, ids, exit code


class Process(msgspec.Struct, frozen=True):
    """One process. `identity` is zero where it is unknown."""

    pid: int
    identity: int
    boot: str


def open_pidfd(pid: int) -> tuple[Process, int] | None:
    """The process that has this pid now and its pidfd, which the caller closes; None without such a process."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it has ended
        return None
    return Process(pid, _pidfd_inode(pidfd) or _stat(pid, _START) or 0, boot_id()), pidfd


def reopen(known: Process) -> int | None:
    """The pidfd of a process of an earlier run; None when it has ended."""
    found = open_pidfd(known.pid) if known.identity and known.boot and known.boot == boot_id() else None
    if found is None:
        return None
    if found[0] != known:
        os.close(found[1])
        return None
    return found[1]


def how_it_ended(pidfd: int, pid: int) -> str | None:
    """How an ended process ended, in words; None where the kernel does not say."""
    status = _reaped_status(pidfd)
    if status is None:
        status = _stat(pid, _EXIT_CODE) or None  # a zero may only mean that it may not be read
    return None if status is None else _words(status)


def _pidfd_inode(pidfd: int) -> int | None:
    """The inode, where pidfds have inodes of their own; before, all of them shared one."""
    try:
        return os.fstat(pidfd).st_ino if str(Path(f"/proc/self/fd/{pidfd}").readlink()).startswith("pidfd:") else None
    except OSError:
        return None


def _reaped_status(pidfd: int) -> int | None:
    try:
        raw = fcntl.ioctl(pidfd, _GET_INFO, _INFO.pack(_INFO_EXIT, *[0] * 13))
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(raw)
    return status if mask & _INFO_EXIT else None


def _words(status: int) -> str:
    number = os.waitstatus_to_exitcode(status)
    if number >= 0:
        return f"with exit code {number}"
    try:
        return f"by {signal.Signals(-number).name}"
    except ValueError:  # real-time signals have no names
        return f"by signal {-number}"


def _stat(pid: int, field: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[field - _NAME_FIELDS - 1])
    except (OSError, ValueError, IndexError):
        return None
