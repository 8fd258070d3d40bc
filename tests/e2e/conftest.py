"""A tenth of these tests has `[shared]` set: what one host promises must hold for a host that shares, too.

The commit draws them: other ones for other code, the same whenever that code is tested. Without redis-server they run as the rest does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import harness
from tests.shared.conftest import RedisServer

ONE_IN = 10
# Modules that measure seconds and memory with a backlog, which a shared daemon hands over at the same time; and that count marks, which an
# engine that is away for some seconds on a busy machine rightly causes. `--shared=all` runs them as well.
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


@pytest.fixture(scope="session")
def tree() -> str:
    """The hash of the committed files; "" outside of a repository."""
    command = ["git", "rev-parse", "HEAD^{tree}"]
    return subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()


@pytest.fixture(autouse=True)
def sharing(request: pytest.FixtureRequest, tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the daemons of this test an engine, if it is its turn or `--shared` says so."""
    chosen: str = request.config.getoption("--shared")
    is_drawn = zlib.crc32(f"{tree} {request.node.nodeid}".encode()) % ONE_IN == 0
    has_engine = shutil.which("redis-server") or os.environ.get("CI")
    if chosen == "none" or (chosen == "tenth" and (not is_drawn or not has_engine or request.path.stem in MEASURED)):
        return
    engine: RedisServer = request.getfixturevalue("e2e_engine")
    print("this test had [shared] set; repeat it with --shared=all")
    monkeypatch.setattr(harness, "shared_engine", f"{engine.url}?db={next(engine.databases)}")


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    """A folder on the disk: these tests kill in the middle of commits."""
    return on_disk
