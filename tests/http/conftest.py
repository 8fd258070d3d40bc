"""A daemon with an HTTP intake and a fake Discord, for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness import DaemonProcess, FakeProcess
from tests.http_client import daemon_with


@pytest.fixture(scope="module")
def discord_fake() -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, discord_fake: FakeProcess) -> Iterator[DaemonProcess]:
    with daemon_with(tmp_path_factory.mktemp("webhooks"), discord_fake).start() as daemon:
        yield daemon
