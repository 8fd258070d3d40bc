"""Process limits."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from tocsind.host import hardening

STRANGER = 12345


def reads(path: str) -> bool:
    try:
        Path(path).read_bytes()
    except PermissionError:
        return False
    return True


def same_user_reads_environment(*, hardened: bool) -> bool:
    """Whether a child of one user may read the environment, and so the webhooks, of its parent of the same user."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable, like a program that this user starts
            if hardened:
                hardening.harden()
            parent, child = os.getpid(), os.fork()
            if child == 0:
                os._exit(reads(f"/proc/{parent}/environ"))
            os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        finally:
            os._exit(99)
    return {0: False, 1: True}[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_hardened_process_is_unreadable_for_other_processes_of_its_user() -> None:
    assert same_user_reads_environment(hardened=False)
    assert not same_user_reads_environment(hardened=True)
