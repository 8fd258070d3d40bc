"""`/metrics` for Prometheus, `/healthz` and `/readyz` for probes. Every user of this host may read them.

/healthz   200 while the daemon makes progress; 503 and the reason when something is stuck that only a restart can repair. A server
           that is down, a limit or a full disk is no reason for a restart, and so none for a 503
/readyz    200 while the daemon accepts signals; 503 and the reason otherwise
/metrics   the status, as Prometheus text
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tocsind.errors import StorageFull
from tocsind.http_server import Reply
from tocsind.observe.prometheus import CONTENT_TYPE, render
from tocsind.observe.status import StatusView

from .access import Needs
from .replies import NO_STORE, plain
from .routing import Call, Router

CheckLiveness = Callable[[], Awaitable[str | None]]

_ONCE = {**NO_STORE, "Connection": "close"}  # a probe keeps no connection from others


def add_routes(
    router: Router, status: StatusView, check_liveness: CheckLiveness, unready: Callable[[], str | None]
) -> None:
    """Add the three paths. `unready` returns why the daemon accepts no signals."""

    async def metrics(_: Call) -> Reply:
        try:
            text = await render(await status.collect())
        except StorageFull as full:
            return plain(503, str(full), **_ONCE)
        return Reply(200, {**_ONCE, "Content-Type": CONTENT_TYPE}, text)

    async def health(_: Call) -> Reply:
        return _verdict(await check_liveness())

    async def readiness(_: Call) -> Reply:
        return _verdict(unready())

    for path, handler in {"/metrics": metrics, "/healthz": health, "/readyz": readiness}.items():
        router.add("GET", path, handler, needs=Needs.NOTHING)


def _verdict(problem: str | None) -> Reply:
    return plain(503, problem, **_ONCE) if problem else plain(200, "ok", **_ONCE)
