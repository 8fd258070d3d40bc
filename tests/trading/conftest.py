"""A daemon, and a client of it that would rather wait than spool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, file, route

from tocsin import Client


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """It writes into a file."""
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        process.env["TOCSIN_SPOOL"] = str(process.spool)
        yield process.start()


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    """A client that is not strict."""
    with Client(daemon.socket, timeout=PATIENCE, spool=False) as made:
        yield made


@pytest.fixture
def no_daemon(tmp_path: Path) -> Client:
    """A client of a daemon that is not there, and without a spool."""
    return Client(tmp_path / "absent", spool=False)
