"""Starts `python -m MODULE` by a fork of an interpreter that has imported the modules already.

An import of the daemon's modules takes a processor longer than most tests do afterwards. A forked process is a process like any other:
it has its own number, memory, descriptors and signals, its parent is the test, and it runs the module as `-m` does. Only
its command line and environment in /proc are the server's, so tests of those, of the start of the interpreter and of
memory execute Python: `DaemonProcess(..., executed=True)`. A call with an option of Popen other than streams, folder and
environment executes it as well, and so does one whose environment would change the interpreter.

    the test    ->  server     the job as JSON, with the standard streams
    the server  ->  a child, which forks the process, sends its number and ends
    the kernel      makes the test the parent of the process, because the test is a subreaper meanwhile
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_REQUEST = 200_000  # bytes; the kernel permits about as many in one packet
_NUMBER = 20  # bytes; more than a process number has digits
_STREAMS = 3
_DESCRIPTORS = 64  # more than the server has
_OPTIONS = {"stdin", "stdout", "stderr", "text", "cwd"}  # of Popen, which a fork implements
_ROOT = Path(__file__).parents[1]
_OF_THE_INTERPRETER = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_")  # variables with effects before `main`
_IMPORTED = (
    "argparse",
    "encodings.idna",
    "httpcore",
    "tocsin.cli",
    "tocsin.cli.suggestion",
    "tocsin.outbox",
    "tocsind.daemon",
    "tocsind.destinations.discord",
    "tocsind.destinations.file",
    "tocsind.host.interrupts",
    "tocsind.service",
    "tocsind.setup",
    "tocsind.testing.control",
    "tocsind.testing.discord",
    "tocsind.testing.kinds",
)
_SERVER = "from tests import fork_server; fork_server.serve()"


class _Job(NamedTuple):
    module: str
    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]


_server: _Server | None = None
_owner = 0  # the process whose calls fork


def enable() -> None:
    """Fork from now on, in this process. Benchmarks and the demo do not call this."""
    global _owner
    _owner = os.getpid()


def popen(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, executed: bool = False, **options: Any
) -> subprocess.Popen[Any]:
    """As subprocess.Popen: a fork for `[sys.executable, "-m", MODULE, ...]`, where that makes no difference."""
    environment = dict(os.environ if env is None else env)
    plain = options.keys() <= _OPTIONS and _as_usual(environment) and list(command[:2]) == [sys.executable, "-m"]
    if executed or not plain or os.getpid() != _owner:
        return subprocess.Popen(command, env=env, **options)
    return _Forked(command, env=environment, **options)


def run(
    command: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - as subprocess.run
    timeout: float,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run with captured text."""
    source, pipe = subprocess.DEVNULL if input is None else subprocess.PIPE, subprocess.PIPE
    with popen(command, stdin=source, stdout=pipe, stderr=pipe, text=True, **options) as process:
        try:
            output, errors = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _as_usual(environment: Mapping[str, str]) -> bool:
    """Whether the interpreter would start as this one did."""
    names = [name for name in {*environment, *os.environ} if name.startswith(_OF_THE_INTERPRETER)]
    return all(environment.get(name) == os.environ.get(name) for name in names if name != "PYTHONPATH")


class _Forked(subprocess.Popen[Any]):
    """A child that the server forks. Only the start differs from Popen's, for which Popen has no public method."""

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        """Popen's arguments are executable, preexec_fn, close_fds, pass_fds, cwd, env, three of Windows, and both ends of three pipes."""
        global _server
        folder, environment, pipes = rest[4], rest[5], rest[9:15]
        _server = _server or _Server()
        module, *arguments = args[2:]
        job = _Job(module, arguments, str(folder or Path.cwd()), environment)
        self.pid = _server.fork(job, [pipes[0], pipes[3], pipes[5]])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class _Server:
    """The server's process, and the socket to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nowhere = subprocess.DEVNULL
        with its:
            command = [sys.executable, "-c", _SERVER, str(its.fileno())]
            self._process = subprocess.Popen(
                command, stdin=nowhere, stdout=nowhere, cwd=_ROOT, pass_fds=(its.fileno(),)
            )
        atexit.register(self._end)

    def fork(self, job: _Job, streams: Sequence[int]) -> int:
        """Start a process; returns its number. A stream of -1 is that of this process."""
        given = [number if stream == -1 else stream for number, stream in enumerate(streams)]
        libc = ctypes.CDLL(None)
        with self._lock:
            libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._socket, [json.dumps(job).encode()], given)
                return int(self._socket.recv(_NUMBER))
            finally:
                libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def _end(self) -> None:
        if os.getpid() == _owner:
            self._socket.close()
            self._process.wait()


def serve() -> None:
    """Import the modules and fork a process for each job. Returns in these when they have run, and in the server at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C in the terminal: the end of the tests ends this
    for name in _IMPORTED:
        import_module(name)
    gc.collect()
    gc.freeze()  # else a collection in a process copies all pages
    with socket.socket(fileno=int(sys.argv[1])) as jobs:
        while True:
            packet, streams, _, _ = socket.recv_fds(jobs, _REQUEST, _STREAMS)
            if not packet:
                return
            if (number := _fork_twice()) == 0:
                break
            for stream in streams:
                os.close(stream)
            jobs.send(str(number).encode())
    _run(_Job(*json.loads(packet)), streams)


def _fork_twice() -> int:
    """0 in the new process; in the server its number, once the process between has ended."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        number = os.fork()
        if number == 0:
            return 0
        os.write(writer, str(number).encode())
        os._exit(0)
    os.waitpid(between, 0)
    number = int(os.read(reader, _NUMBER))
    os.close(reader)
    os.close(writer)
    return number


def _run(job: _Job, streams: Sequence[int]) -> None:
    """Make this process what `python -m MODULE` is before its first line, and run the module."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(_STREAMS, _DESCRIPTORS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment)
    time.tzset()
    sys.argv = [job.module, *job.arguments]
    sys.path[:1] = [job.folder, *filter(None, job.environment.get("PYTHONPATH", "").split(os.pathsep))]
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)
