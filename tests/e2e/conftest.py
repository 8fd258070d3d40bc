"""A tenth of these tests, other ones in each run, has `[shared]` set: what one host promises must hold for a host that shares, too."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import harness
from tests.shared.conftest import RedisServer

TENTH = 0.1
# Modules that measure seconds and memory with a backlog, which is handed over meanwhile; and that count marks, which an engine that is
# away for some seconds on a busy machine rightly causes. `--shared=all` runs them as well.
MEASURED = {"test_backlog", "test_order"}


@pytest.fixture(scope="session")
def e2e_engine() -> Iterator[RedisServer]:
    """One engine for all tests; each test has a database of its own."""
    harness.need("redis-server")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-engine-"))
    server = RedisServer(folder, "--databases", "10000").start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def sharing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the daemons of this test an engine, if it is its turn or `--shared` says so."""
    chosen: str = request.config.getoption("--shared")
    is_measured = request.path.stem in MEASURED
    if chosen == "none" or (chosen == "tenth" and (is_measured or random.random() >= TENTH)):
        return
    engine: RedisServer = request.getfixturevalue("e2e_engine")
    print("this test had [shared] set; repeat it with --shared=all")
    monkeypatch.setattr(harness, "shared_engine", f"{engine.url}?db={next(engine.databases)}")


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """A folder on the disk: these tests kill in the middle of commits."""
    return on_disk
