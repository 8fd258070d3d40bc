"""What every room may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness import FakeProcess


@pytest.fixture
def fake() -> Iterator[FakeProcess]:
    """A fake Discord without limits."""
    with FakeProcess("--limits", "none") as running:
        yield running
