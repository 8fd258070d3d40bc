"""What every room may use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.harness import FakeProcess
from tests.outboxes import close_outboxes

# A busy machine is no finding: no example is timed. The rest stays as hypothesis has it, which in CI means the same examples each time.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def spool(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a client in this process spools that was not told: never this machine's own place."""
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
