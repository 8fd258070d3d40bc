"""Options and fixtures for all tests."""

from __future__ import annotations

import random
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.harness import FakeProcess
from tests.outboxes import close_outboxes

# No example is timed, because the machine may be busy. All else is hypothesis' default: in CI the same examples in each run.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it, and so would every process that a test starts


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kill-seed", type=int, help="repeats the moments of the kills of an earlier run; default: random"
    )
    parser.addoption(
        "--shared",
        choices=("none", "tenth", "all"),
        default="tenth",
        help="how many of the end-to-end tests give their daemons an engine ([shared]); default: a tenth, other ones in each run",
    )


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
    close_outboxes()


@pytest.fixture
def fake() -> Iterator[FakeProcess]:
    """A fake Discord without limits."""
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture
def two() -> Iterator[FakeProcess]:
    """A fake Discord without limits, with two webhooks in two channels."""
    with FakeProcess("--limits", "none", "--webhooks", "2") as running:
        yield running
