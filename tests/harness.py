"""The daemon and the fake Discord as processes, for contract and end-to-end tests.

The daemon sends READY to its NOTIFY_SOCKET, and the fake prints its address, so no test sleeps or polls for readiness. Two calls poll:
`await_socket`, for tests of that socket, and `await_held`, because the fake sends no notifications. Every process is
bounded in time and ended by its own handle.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from tests import fork_server
from tests.whole_ids import look_in

import tocsin
from tocsind.testing.reader import Alert, alerts_in

PATIENCE = 40.0  # seconds for anything that should take milliseconds: two busy cores
STRANGER, GROUP = 12345, 23456  # a user without an account, and a group
shared_engine: str | None = None  # the address of an engine that each daemon is given; set by tests/e2e/conftest.py


class DaemonProcess:
    """A daemon with its own state folder and socket below `folder`. It can be started repeatedly."""

    def __init__(
        self,
        folder: Path,
        config: str,
        env: Mapping[str, str] | None = None,
        *,
        socket: str | None = None,
        command: Sequence[str] = (sys.executable, "-m", "tocsind"),
        executed: bool = False,
    ) -> None:
        """`executed`: start an interpreter, see tests/fork_server.py."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.command = command
        self.executed = executed
        self.socket = socket or str(folder / "t.sock")
        self.state = folder / "state"
        look_in(self.state)
        self.config = folder / "alerts.toml"
        self.log = folder / "daemon.log"
        self.spool = self.state / "spool"
        usual = {
            name: value for name, value in os.environ.items() if name != "TOCSIN_SPOOL"
        }  # the tests' own, in conftest
        self.env = {**usual, "TOCSIN_SOCKET": self.socket, "STATE_DIRECTORY": str(self.state), **(env or {})}
        self.process: subprocess.Popen[bytes]
        # strict, with a long timeout: tests must see every error
        self.client = tocsin.Client(self.socket, timeout=PATIENCE * 1.5, strict=True)
        self.configure(config)

    def configure(self, config: str) -> None:
        """Write the configuration; SIGHUP or the next start applies it."""
        if shared_engine and "[shared]" not in config:
            config += f'\n[shared]\nurl = "{shared_engine}"\n'
        self.config.write_text(config)

    def start(self, *command: str, **popen: Any) -> Self:
        """Start the daemon and wait for READY. `command` replaces that of the constructor."""
        with notify_socket(self.folder) as (address, received):
            self.spawn(*command, env={"NOTIFY_SOCKET": address}, **popen)
            assert "READY=1" in received(), self.log.read_text()
        return self

    def spawn(self, *command: str, env: Mapping[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        """Start the daemon without waiting. `popen` is passed to Popen."""
        with self.log.open("ab") as log:
            streams = {"stderr": log, "stdin": subprocess.DEVNULL}
            self.process = fork_server.popen(
                self.argv(*command), env={**self.env, **(env or {})}, executed=self.executed, **{**streams, **popen}
            )
        return self.process

    def argv(self, *command: str) -> list[str]:
        """The command line. `command` replaces that of the constructor."""
        return [*(command or self.command), "run", "--config", str(self.config), "--log", "debug"]

    def await_socket(self) -> None:
        """Wait for a listener on the socket, for a start without READY."""
        until(lambda: self.listens() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def await_silence(self) -> None:
        """Wait until the socket has no listener."""
        until(lambda: not self.listens())

    def listens(self) -> bool:
        """Whether the socket has a listener."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def ended_within(self, seconds: float) -> bool:
        """Whether the daemon ends within so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def status(self) -> dict[str, Any]:
        """The status object."""
        return self.client.status()

    def destination(self, name: str) -> dict[str, Any]:
        """One destination's view in the status."""
        found: dict[str, Any] = next(each for each in self.status()["destinations"] if each["name"] == name)
        return found

    def settled(self, *ids: str) -> list[str]:
        """Wait until these signals are settled; returns their summaries."""
        return [self.client.request("wait", id=id_, seconds=PATIENCE)["state"] for id_ in ids]

    def wait_for(self, fact: str, *, nth: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait for the first (or `nth`) event of this name with these fields, recent events included."""
        with closing(self.client.stream("tail", idle=PATIENCE, follow=True)) as replies:
            for reply in replies:
                found: dict[str, Any] = reply["event"]
                nth -= found["event"] == fact and fields.items() <= found.items()
                if nth == 0:
                    return found
        raise AssertionError(f"the daemon exited before {fact}")

    def reload(self) -> None:
        """Send SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def tocsin(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the `tocsin` command against this daemon."""
        command = [sys.executable, "-m", "tocsin", *arguments]
        return fork_server.run(command, env=self.env, input=stdin, timeout=PATIENCE * 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if hasattr(self, "process"):
            self.kill()


def need(program: str) -> str:
    """The path of an optional program. Without it the test is skipped, in CI it fails."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing: .ci/run installs what tests need")
        pytest.skip(f"no {program} here")
    return path


def until(true: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Poll another process until the condition is true. Only for states without a notification."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def reserved_port() -> Iterator[int]:
    """A TCP port of 127.0.0.1 that refuses connections until a process of this test listens on it. No other process gets it meanwhile.

    That process has to set SO_REUSEADDR before it binds, as servers do.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def as_stranger(work: Callable[[], Any]) -> Any:
    """The JSON result of `work` in a child process of another user, a member of GROUP. Only root can."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([GROUP])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as results:
        answer = results.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A new folder in memory where tests have room there: for thousands of commits of which none has to survive the machine."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def public_folder(mode: int = 0o755) -> Iterator[Path]:
    """A folder that every user can enter, and write to if `mode` permits it."""
    name = Path(tempfile.mkdtemp(prefix="toc-"))
    name.chmod(mode)
    try:
        yield name
    finally:
        shutil.rmtree(name, ignore_errors=True)


@contextmanager
def listening_stranger(
    path: Path, reply: bytes = b"", listener: socket.socket | None = None
) -> Iterator[Callable[[], bytes]]:
    """A process of another user that listens on `path` or `listener`, and sends `reply` to each connection.

    The yielded call ends the process and returns all that it received. Only root can.
    """
    results, output = os.pipe()
    end, hold = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hold)
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            _serve(listener or _listening(path), reply, output, end)
        finally:
            os._exit(0)
    os.close(output)
    os.close(end)
    try:
        assert os.read(results, 1) == b"+"

        def ended() -> bytes:
            os.close(hold)
            return b"".join(iter(lambda: os.read(results, 65536), b""))

        yield ended
    finally:
        with suppress(OSError):
            os.close(hold)
        os.close(results)
        os.waitpid(pid, 0)


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen()
    return listener


def _serve(listener: socket.socket, reply: bytes, output: int, end: int) -> None:
    """Serve until `end` closes."""
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        ready.register(end, selectors.EVENT_READ)
        os.write(output, b"+")
        ending = False
        while found := ready.select(0 if ending else None):  # at the end, read what has arrived
            for key, _ in found:
                if key.fileobj == end:
                    ready.unregister(end)
                    ending = True
                elif key.fileobj is listener:
                    connection = listener.accept()[0]
                    with suppress(OSError):  # the client closed at once
                        connection.sendall(reply)
                    ready.register(connection, selectors.EVENT_READ)
                elif not (chunk := _received(key.fileobj)):
                    ready.unregister(key.fileobj)
                else:
                    os.write(output, chunk)


def _received(connection: Any) -> bytes:
    try:
        received: bytes = connection.recv(65536)
    except ConnectionResetError:  # the client closed before it read the reply
        return b""
    return received


def is_alive(pid: int) -> bool:
    """Whether a process that is no child runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end_daemon(state: Path) -> None:
    """End the daemon that a program launched on this state, also during its start: the daemon holds the lock `starting` until it ends."""

    def has_ended() -> bool:
        pid = (state / "lock").read_text().strip() if (state / "lock").exists() else ""
        if pid and is_alive(int(pid)):
            os.kill(int(pid), signal.SIGTERM)
        return not is_locked(state / "starting")

    until(has_ended)


def is_locked(path: Path) -> bool:
    """Whether a process holds this file's lock."""
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def notify_socket(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """A NOTIFY_SOCKET: its address, and a call that waits for the next message."""
    address = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(address))
        receiver.settimeout(PATIENCE)
        try:
            yield str(address), lambda: receiver.recv(4096).decode()
        finally:
            address.unlink()


class ServiceProcess:
    """The fake of a kind other than Discord as a process (`python -m tocsind.testing KIND`)."""

    def __init__(self, place: Mapping[str, Any]) -> None:
        self.port: int = place["port"]
        self.destination: dict[str, Any] = place["destination"]
        self.environment: dict[str, str] = place["environment"]

    def control(self, method: str, name: str, body: object = None) -> Any:
        """Make one control request."""
        return _control(self.port, method, name, body)


@contextmanager
def service_process(kind: str) -> Iterator[ServiceProcess]:
    """The fake of a kind for the length of the block."""
    command = [sys.executable, "-m", "tocsind.testing", kind]
    with fork_server.popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield ServiceProcess(json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def _control(port: int, method: str, name: str, body: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, f"/_fake/{name}", None if body is None else json.dumps(body))
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == 200, content
        return content
    finally:
        connection.close()


class FakeProcess:
    """The fake Discord as a process, with its control requests."""

    def __init__(self, *options: str) -> None:
        self.process = fork_server.popen(
            [sys.executable, "-m", "tocsind.testing", *options],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        place = json.loads(self.process.stdout.readline())
        self.port: int = place["port"]
        self.webhooks: list[dict[str, str]] = place["webhooks"]

    def control(self, method: str, name: str, body: object = None) -> Any:
        """Make one control request."""
        return _control(self.port, method, name, body)

    def hold(self, *, saved: bool = False) -> None:
        """Hold the responses to posts from now on; `saved` saves the messages first. GET requests are answered."""
        self.control("POST", "hold", {"saved": saved})

    def await_held(self, requests: int = 1) -> None:
        """Wait until so many requests wait for `release`."""
        until(lambda: self.counts()["held"] >= requests)

    def release(self) -> None:
        """Send the held responses, and hold no more."""
        self.control("POST", "release")

    def script(self, *behaviours: Mapping[str, Any]) -> None:
        """Set the behaviour for the next requests."""
        self.control("POST", "script", list(behaviours))

    def delete_message(self, message: str) -> None:
        """Delete a message as a reader of the channel does."""
        self.control("POST", "delete-message", {"message": message})

    def messages(self) -> list[dict[str, Any]]:
        """All accepted messages, in order."""
        found: list[dict[str, Any]] = self.control("GET", "log")["messages"]
        return found

    def counts(self) -> dict[str, Any]:
        """The counts of requests and responses."""
        found: dict[str, Any] = self.control("GET", "counts")
        return found

    def embeds(self) -> list[dict[str, Any]]:
        """The embeds of all accepted messages, in order."""
        return [embed for message in self.messages() for embed in message["payload"]["embeds"]]

    def alerts(self) -> list[Alert]:
        """The alerts in all accepted messages as a reader sees them, in order."""
        return [alert for message in self.messages() for alert in alerts_in(message["payload"])]

    def titles(self) -> list[str]:
        """Their titles, without marks."""
        return [alert.title for alert in self.alerts()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


OUT_OF_THE_WAY = {"limit": '"100000/s"', "channel-limit": '"100000/s"', "webhook-limit": '"100000/s"'}


def discord(name: str, url: str, **options: str) -> str:
    """The table of a Discord destination. Values are TOML; by default its limits are too wide to matter."""
    keys = {**OUT_OF_THE_WAY, **options}
    lines = "\n".join(f"{key} = {value}" for key, value in keys.items())
    return f'[destinations.{name}]\nkind = "discord"\nwebhook = "{url}"\n{lines}\n'


def file(name: str = "local-file", path: str = "alerts.jsonl") -> str:
    """The table of a file destination."""
    return f'[destinations.{name}]\nkind = "file"\npath = "{path}"\n'


def route(*to: str) -> str:
    """A route that takes every signal."""
    return f"[[routes]]\nto = {json.dumps(to)}\n"
