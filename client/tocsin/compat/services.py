"""The old classes, for code that makes instances of them. They send, query the daemon, and start it.

The settings that they took (pools, limits, retries, webhooks) are now in alerts.toml. The arguments are accepted and ignored, and their
names are logged once.
"""

from __future__ import annotations

import logging
from typing import Any, Self

from tocsin.autostart import PATIENCE, is_served, start

from .health import get_health_status, get_metrics
from .loop_waker import in_thread
from .send import send_signal_async, send_signal_sync, send_signal_to_discord
from .send_queue import flush

_log = logging.getLogger("tocsin.compat")
_warned: set[str] = set()


def on_strategy_start(*_: Any, patience: float = PATIENCE, **__: Any) -> bool:
    """Start a daemon unless one runs. Whether one answers within `patience` seconds. Never raises: without a daemon signals are spooled.

    Each strategy calls it in its `__init__`. Other arguments are ignored. It blocks: a coroutine that starts a strategy while others trade
    should call `await AsyncNotificationStartup().start()` instead.
    """
    return start(patience=patience)


def on_strategy_stop(*_: Any, **__: Any) -> bool:
    """Wait until the signals of coroutines are handed over, at most two seconds. The daemon goes on: other programs use it."""
    return flush()


class _Service:
    """The methods of all old classes. Each returns the result of the function of its name."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        _warn_ignored(type(self).__name__, [*(f"argument {n}" for n in range(1, len(given) + 1)), *settings])

    send_signal_async = staticmethod(send_signal_async)
    send_signal_to_discord = staticmethod(send_signal_to_discord)
    send_signal_sync = staticmethod(send_signal_sync)
    get_metrics = staticmethod(get_metrics)
    get_health_status = staticmethod(get_health_status)

    async def start(self) -> bool:
        """As `on_strategy_start`, without blocking the loop."""
        return await in_thread(start)

    async def stop(self) -> bool:
        """As `on_strategy_stop`, without blocking the loop."""
        return await in_thread(flush)

    @property
    def is_running(self) -> bool:
        """Whether a daemon listens."""
        return is_served()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class AsyncNotificationService(_Service):
    """The old queue with its workers."""

    queue_notification = staticmethod(send_signal_async)
    queue_signal = staticmethod(send_signal_async)


class DiscordService(_Service):
    """The old sender to Discord."""

    send_signal = staticmethod(send_signal_to_discord)
    send_message = staticmethod(send_signal_to_discord)
    close = _Service.stop


class NotificationIntegration(_Service):
    """The old layer for existing code."""

    send_signal = staticmethod(send_signal_async)
    send_signal_notification = staticmethod(send_signal_async)


class AsyncNotificationStartup(_Service):
    """The old start and stop."""

    on_strategy_start = staticmethod(on_strategy_start)
    on_strategy_stop = staticmethod(on_strategy_stop)
    initialize = _Service.start
    shutdown = _Service.stop


def _warn_ignored(name: str, settings: list[str]) -> None:
    """Log the names of settings, not their values: one may be a webhook."""
    if settings and name not in _warned:
        _warned.add(name)
        _log.info("%s: %s: ignored, configured in alerts.toml now", name, ", ".join(settings))
