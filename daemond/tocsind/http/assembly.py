"""Makes the table of routes of a daemon."""

from __future__ import annotations

from collections.abc import Callable

from tocsind.clock import Clock
from tocsind.events import Emit
from tocsind.observe.status import StatusView

from . import monitoring
from .alertmanager import AlertmanagerWebhook
from .intake import Intake
from .monitoring import CheckLiveness
from .routing import Router
from .send import Send
from .webhooks import DiscordWebhooks


def make_router(
    status: StatusView,
    check_liveness: CheckLiveness,
    unready: Callable[[], str | None],
    *,
    intake: Intake | None = None,
    clock: Clock,
    emit: Emit = lambda _: None,
) -> Router:
    """All routes; each module adds its own. Without an intake they only read."""
    router = Router(emit)
    monitoring.add_routes(router, status, check_liveness, unready)
    if intake is not None:
        DiscordWebhooks(intake, clock).add_routes(router)
        Send(intake).add_routes(router)
        AlertmanagerWebhook(intake).add_routes(router)
    return router
