"""Peers that guarantee that a handed-over body is on disk, each in the mode in which that is true.

Their packages are imported by name when they are measured: none of them needs to be here, for a test, for mypy or for a bench.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from .handoff import Handoff, Server


class RedisStream(Server):
    """XADD to redis-server, which fsyncs its append-only file before each answer."""

    name = "redis XADD, appendfsync always"
    program = "redis-server"
    package = "redis"

    def start(self, folder: Path) -> None:
        address = folder / "redis.sock"
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0")
        self.serve(address, "redis-server", "--port", "0", "--unixsocket", str(address), "--dir", str(folder), *durable)
        self._client = import_module("redis").Redis(unix_socket_path=str(address))

    def put(self, body: bytes) -> None:
        self._client.xadd("signals", {"body": body})

    def stop(self) -> None:
        super().stop()
        self._client.close()


class Beanstalk(Server):
    """put to beanstalkd, which fsyncs its binlog after each write."""

    name = "beanstalkd -b -f0"
    program = "beanstalkd"
    package = "greenstalk"

    def start(self, folder: Path) -> None:
        address, binlog = folder / "beanstalkd.sock", folder / "binlog"
        binlog.mkdir()
        self.serve(address, "beanstalkd", "-l", f"unix:{address}", "-b", str(binlog), "-f0")
        self._address = str(address)
        self.join()

    def join(self) -> None:
        self._client = import_module("greenstalk").Client(self._address, encoding=None)

    def put(self, body: bytes) -> None:
        self._client.put(body)

    def stop(self) -> None:
        super().stop()
        self._client.close()


class HueySqlite(Handoff):
    """A task enqueued in huey's SQLite storage, in the caller's own process."""

    name = "huey SQLite, fsync"
    package = "huey"

    def start(self, folder: Path) -> None:
        self._file = str(folder / "huey.db")
        self.join()

    def join(self) -> None:
        self._huey = import_module("huey").SqliteHuey("bench", filename=self._file, fsync=True, timeout=60)
        self._task: Any = self._huey.task(name="deliver")(_deliver)

    def put(self, body: bytes) -> None:
        self._task(body)

    def stop(self) -> None:
        self._huey.storage.close()


class PersistQueue(Handoff):
    """put to a persist-queue SQLiteQueue, in the caller's own process."""

    name = "persist-queue SQLite"
    package = "persistqueue"

    def start(self, folder: Path) -> None:
        self._folder = str(folder / "persist")
        self.join()

    def join(self) -> None:
        self._queue = import_module("persistqueue").SQLiteQueue(self._folder, auto_commit=True, timeout=60)

    def put(self, body: bytes) -> None:
        self._queue.put(body)

    def stop(self) -> None:
        self._queue.close()


def _deliver(body: bytes) -> None:
    """The task of a worker; none runs."""


PEERS = (RedisStream, Beanstalk, HueySqlite, PersistQueue)
