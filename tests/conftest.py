"""What every room may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.harness import FakeProcess

# A busy machine is no finding: no example is timed. The rest stays as hypothesis has it, which in CI means the same examples each time.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def fake() -> Iterator[FakeProcess]:
    """A fake Discord without limits."""
    with FakeProcess("--limits", "none") as running:
        yield running
