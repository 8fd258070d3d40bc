"""A child process with a hard end: it gets bytes on standard input, and has until its deadline to leave.

It runs in a session of its own, as the daemon's user, in `/`, with the environment that it is given and no open files but its three. At the
deadline its whole process group gets SIGTERM, and GRACE seconds later SIGKILL; on cancellation SIGKILL at once. What it writes is read to
the end, so that it never blocks, and only the last OUTPUT bytes are kept. A process that outlives it and holds its output open is not
waited for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import trio

from .response import Response

GRACE: Final = 2.0  # seconds between SIGTERM and SIGKILL
OUTPUT: Final = 4096  # bytes
_LAST_OUTPUT: Final = 0.2  # seconds to read what an ended process has written
_CHUNK: Final = 65_536
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Ended(NamedTuple):
    """How a child ended: its exit code (128 and the signal's number when one ended it; None: killed at its deadline), and what it wrote."""

    code: int | None
    output: bytes


class ChildResponse(Response):
    """An exit code as the status, and the last line of what the child wrote."""

    @property
    def words(self) -> str:
        lines = self.answer.body.decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "")


def clean_environment() -> dict[str, str]:
    """The variables that every child gets."""
    return {"PATH": os.environ.get("PATH") or _PATH, "LANG": os.environ.get("LANG") or "C.UTF-8"}


async def run(
    command: Sequence[str], given: bytes, environment: Mapping[str, str], deadline: float, *, keep_errors: bool = True
) -> Ended:
    """Run a program to its end, at most `deadline` and GRACE seconds. `keep_errors`: its standard error is output too.

    Raises OSError when it cannot be started.
    """
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if keep_errors else subprocess.DEVNULL,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
    )
    output = bytearray()
    try:
        with trio.move_on_after(deadline):
            await _until_ended(process, given, output)
        in_time = process.returncode is not None
        if not in_time:
            await _terminate(process)
        return Ended(_exit_code(process) if in_time else None, bytes(output))
    finally:
        with trio.CancelScope(shield=True):
            await _close(process)


async def _until_ended(process: trio.Process, given: bytes, output: bytearray) -> None:
    has_all = trio.Event()

    async def read() -> None:
        await _read(process, output)
        has_all.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_feed, process, given)
        nursery.start_soon(read)
        await process.wait()
        with trio.move_on_after(_LAST_OUTPUT):
            await has_all.wait()
        nursery.cancel_scope.cancel()


async def _feed(process: trio.Process, given: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(trio.BrokenResourceError):  # a program may ignore its input
        await process.stdin.send_all(given)
    await process.stdin.aclose()


async def _read(process: trio.Process, output: bytearray) -> None:
    assert isinstance(process.stdout, trio.abc.ReceiveStream)
    while chunk := await process.stdout.receive_some(_CHUNK):
        output += chunk[-OUTPUT:]
        del output[:-OUTPUT]


async def _terminate(process: trio.Process) -> None:
    """End the whole group, those too that ignore SIGTERM or outlive the first process."""
    _signal_group(process, signal.SIGTERM)
    with trio.move_on_after(GRACE):
        await process.wait()
    _signal_group(process, signal.SIGKILL)


async def _close(process: trio.Process) -> None:
    if process.returncode is None:
        _signal_group(process, signal.SIGKILL)
        await process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        await stream.aclose()


def _signal_group(process: trio.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or has become another user's
        os.killpg(process.pid, number)


def _exit_code(process: trio.Process) -> int:
    code = process.returncode
    assert code is not None
    return code if code >= 0 else 128 - code
