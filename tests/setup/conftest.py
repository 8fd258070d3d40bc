"""The engine of tests/shared."""

from __future__ import annotations

from tests.shared.conftest import redis_server

__all__ = ["redis_server"]
