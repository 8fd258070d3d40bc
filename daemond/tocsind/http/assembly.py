"""Makes the table of routes of a daemon."""

from __future__ import annotations

from collections.abc import Callable

from tocsind.observe.status import StatusView

from . import monitoring
from .monitoring import CheckLiveness
from .routing import Router


def make_router(status: StatusView, check_liveness: CheckLiveness, unready: Callable[[], str | None]) -> Router:
    """All routes; each module adds its own."""
    router = Router()
    monitoring.add_routes(router, status, check_liveness, unready)
    return router
