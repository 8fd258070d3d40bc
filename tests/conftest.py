"""Options and fixtures for all tests."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests import fork_server, memory
from tests.harness import FakeProcess, reserved_port
from tests.outboxes import end_clients
from tests.patience import be_patient
from tests.slow_first import slow_first

from tocsin import notices

# No example is timed, because the machine may be busy. All else is hypothesis' default: in CI the same examples in each run.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it, and so would every process that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `&` ignores this one
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.umask(0o022)  # as nearly everywhere: other users read what some tests write, and a test of a umask sets its own

# Hundreds of processes import the same modules, and each worker the same tests: they compile them once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kill-seed", type=int, help="repeats the moments of the kills of an earlier run; default: random"
    )
    parser.addoption(
        "--shared",
        choices=("none", "tenth", "all"),
        default="tenth",
        help="how many of the end-to-end tests give their daemons an engine ([shared]); default: a tenth, drawn by the commit",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    be_patient()
    memory.prepare(config)
    fork_server.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # xdist has no types
    node.workerinput["files"] = tempfile.tempdir


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = slow_first(items, getattr(config, "workerinput", {"workercount": 1})["workercount"])


def pytest_collection_finish() -> None:
    """Else each full collection of garbage stops all threads of this process while it looks at 9,000 tests: up to 3 s on a busy machine."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def kill_chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws the moments of kills and power cuts. A failing test prints the option that repeats them."""
    chosen: int | None = request.config.getoption("--kill-seed")
    seed = random.SystemRandom().randrange(2**32) if chosen is None else chosen
    print(f"repeat with --kill-seed={seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def spool(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The default spool of clients in this process: an own folder, never that of this machine."""
    folder = tmp_path_factory.getbasetemp() / f"spool-{uuid.uuid4().hex}"
    monkeypatch.setenv("TOCSIN_SPOOL", str(folder))
    yield folder
    end_clients()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_earlier_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of an earlier test would hold back the next one of its kind."""
    monkeypatch.setattr(notices, "_kinds", {})
    monkeypatch.setattr(notices, "_written", set())


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A folder on the disk, with a short name."""
    with tempfile.TemporaryDirectory(prefix="toc-", dir=memory.DISK, ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def fake() -> Iterator[FakeProcess]:
    """A fake Discord without limits."""
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture
def port() -> Iterator[int]:
    """A port that refuses connections, for fakes that come and go."""
    with reserved_port() as port:
        yield port


@pytest.fixture
def nowhere(port: int) -> str:
    """A webhook at an address without a listener."""
    with FakeProcess("--limits", "none", "--port", str(port)) as gone:
        return gone.webhooks[0]["url"]


@pytest.fixture
def two() -> Iterator[FakeProcess]:
    """A fake Discord without limits, with two webhooks in two channels."""
    with FakeProcess("--limits", "none", "--webhooks", "2") as running:
        yield running
