"""The daemon under test, as a handoff."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness import PATIENCE, DaemonProcess, file, route

import tocsin

from .handoff import BODY_BYTES, Handoff

TITLE = "BUY BTCUSDT"
_FRAME = {"op": "send", "v": 1, "signal": {"title": TITLE, "body": "", "id": "0" * 26}, "ack": "stored"}
TEXT = "x" * (BODY_BYTES - len(json.dumps(_FRAME, separators=(",", ":"))) - 4)  # the whole frame has BODY_BYTES
TO_FILE = file() + route("local-file")
SWITCHED_OFF = file() + "enabled = false\n" + route("local-file")


class Daemon(DaemonProcess):
    """A daemon with the default log level; the harness's tests use debug."""

    def spawn(self, *command: str, env: Mapping[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        argv = [*(command or (sys.executable, "-m", "tocsind")), "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            streams = {"stderr": log, "stdin": subprocess.DEVNULL}
            self.process = subprocess.Popen(argv, env={**self.env, **(env or {})}, **{**streams, **popen})
        return self.process

    def counter(self, name: str) -> int:
        """One of the status's counters."""
        return int(self.status()["counters"][name])

    def wait_for_counter(self, name: str, target: int, patience: float = PATIENCE) -> None:
        """Poll until the counter has this value. Called between measurements, so the polling disturbs none."""
        until = time.monotonic() + patience
        while self.counter(name) < target:
            assert time.monotonic() < until, f"{name} is {self.counter(name)}, not {target}; {self.log.read_text()}"
            time.sleep(0.01)


class Tocsin(Handoff):
    """`tocsin.Client.send`, the way a program calls it, with a signal that is as long on the wire as the others' bodies."""

    def __init__(self, name: str, *, ack: str = "stored", config: str = TO_FILE) -> None:
        self.name = name
        self._ack = ack
        self._config = config
        self._all_done = "signals_accepted" if config == SWITCHED_OFF else "notifications_sent"

    def start(self, folder: Path) -> None:
        self.daemon = Daemon(folder, self._config)
        self.daemon.start()
        self._client = tocsin.Client(self.daemon.socket, timeout=PATIENCE, ack=self._ack, strict=True)

    def put(self, body: bytes) -> None:  # noqa: ARG002 - a signal of the same length
        self._client.send(TITLE, body=TEXT)
        self.sent += self.each

    def rest(self) -> None:
        self.daemon.wait_for_counter(self._all_done, self.sent, patience=6 * PATIENCE)

    def accounted_for(self) -> int:
        """Signals that the daemon delivered, or, where it may not, keeps."""
        return self.daemon.counter(self._all_done)

    def stop(self) -> None:
        self.daemon.stop()
        self._client.close()
        self.daemon.client.close()


class TocsinStopped(Tocsin):
    """The same without a daemon: signals wait in the outbox, and the daemon imports them at the end."""

    def start(self, folder: Path) -> None:
        self.daemon = Daemon(folder, self._config)
        self._client = tocsin.Client(self.daemon.socket, timeout=PATIENCE, spool=self.daemon.spool)

    def put(self, body: bytes) -> None:  # noqa: ARG002 - as above
        assert self._client.send(TITLE, body=TEXT).state == "spooled"
        self.sent += 1

    def rest(self) -> None:
        """Wait until the daemon is idle."""

    def accounted_for(self) -> int:
        self.daemon.start()
        self.daemon.wait_for_counter("signals_accepted", self.sent)
        return self.daemon.counter("signals_accepted")

    def stop(self) -> None:
        if hasattr(self.daemon, "process"):
            super().stop()


class TocsinHung(Tocsin):
    """The same beside a daemon that is stopped (SIGSTOP) and continued at the end."""

    def start(self, folder: Path) -> None:
        super().start(folder)
        self._client = tocsin.Client(self.daemon.socket, timeout=0.25)
        super().put(b"")
        self.daemon.wait_for_counter("signals_accepted", self.sent)
        self.daemon.process.send_signal(signal.SIGSTOP)

    def rest(self) -> None:
        """A stopped daemon does not work."""

    def accounted_for(self) -> int:
        self.daemon.process.send_signal(signal.SIGCONT)
        self.daemon.wait_for_counter("signals_accepted", self.sent)
        return self.daemon.counter("signals_accepted")

    def stop(self) -> None:
        self.daemon.process.send_signal(signal.SIGCONT)
        super().stop()


class TocsinSocket(Tocsin):
    """Every hand-off over the socket, as other languages do it."""

    def put(self, body: bytes) -> None:  # noqa: ARG002 - as above
        self._client.send(TITLE, body=TEXT, to="local-file")
        self.sent += 1


class TocsinMany(Tocsin):
    """`send_many`: one frame of so many signals a put."""

    def __init__(self, name: str, many: int, *, config: str = TO_FILE) -> None:
        super().__init__(name, config=config)
        self.each = many

    def put(self, body: bytes) -> None:  # noqa: ARG002 - as above
        self._client.send_many([{"title": TITLE, "body": TEXT}] * self.each)
        self.sent += self.each
