"""A daemon that delivers to a fake Discord without limits: alone, with a common engine ([shared]), and with one that does not answer."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

from tests.harness import FakeProcess, discord, route
from tests.shared.conftest import PROGRAM, RedisServer

from .daemons import Tocsin


class ToDiscord(Tocsin):
    """No engine: the row that the others are compared with."""

    def start(self, folder: Path) -> None:
        self.fake = FakeProcess("--limits", "none")
        self._config = self.configuration()
        super().start(folder)

    def configuration(self) -> str:
        """As the daemon reads it."""
        return discord("d", self.fake.webhooks[0]["url"]) + route("d")

    def stop(self) -> None:
        super().stop()
        self.fake.__exit__(None, None, None)


class Shared(ToDiscord):
    """The same with [shared]: this daemon sends for all hosts, and is the only one."""

    program = PROGRAM

    def start(self, folder: Path) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="tocsin-engine-")
        self.engine = RedisServer(Path(self._place.name)).start()
        super().start(folder)

    def configuration(self) -> str:
        return f'[shared]\nurl = "{self.engine.url}"\n{super().configuration()}'

    def stop(self) -> None:
        super().stop()
        self.engine.process.send_signal(signal.SIGCONT)
        self.engine.kill()
        self._place.cleanup()


class EngineDown(Shared):
    """The same with an engine that is stopped (SIGSTOP) after the first signal: it takes connections, and answers nothing."""

    def start(self, folder: Path) -> None:
        super().start(folder)
        self.put(b"")
        self.rest()
        self._all_done = "signals_accepted"
        self.engine.process.send_signal(signal.SIGSTOP)
