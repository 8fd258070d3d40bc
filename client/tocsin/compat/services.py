"""The old classes, for code that makes and keeps them. What they did is the daemon's work now; they hand over, ask, and see that it runs.

Whatever settings they were given (pools, limits, retries, webhooks) stand in alerts.toml today. They are taken and let be, and their
names are logged once, so that nobody turns a screw that is not connected.
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
    """See to it that a daemon runs; whether one answers, within `patience` seconds. Never raises: without one signals are spooled.

    Called in a strategy's `__init__`, as often as there are strategies. Whatever else it is given is let be. It waits, so a coroutine that
    starts a strategy while others trade says `await AsyncNotificationStartup().start()` instead.
    """
    return start(patience=patience)


def on_strategy_stop(*_: Any, **__: Any) -> bool:
    """Wait until what coroutines gave away was handed over, at most two seconds. The daemon runs on: it is everybody's."""
    return flush()


class _Service:
    """What the old classes have in common. Each method answers as the function of its name does."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        _warn_ignored(type(self).__name__, [*(f"argument {n}" for n in range(1, len(given) + 1)), *settings])

    send_signal_async = staticmethod(send_signal_async)
    send_signal_to_discord = staticmethod(send_signal_to_discord)
    send_signal_sync = staticmethod(send_signal_sync)
    get_metrics = staticmethod(get_metrics)
    get_health_status = staticmethod(get_health_status)

    async def start(self) -> bool:
        """See to it that a daemon runs, as `on_strategy_start` does."""
        return await in_thread(start)

    async def stop(self) -> bool:
        """As `on_strategy_stop`."""
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
    """The queue with its workers."""

    queue_notification = staticmethod(send_signal_async)
    queue_signal = staticmethod(send_signal_async)


class DiscordService(_Service):
    """The way to Discord."""

    send_signal = staticmethod(send_signal_to_discord)
    send_message = staticmethod(send_signal_to_discord)
    close = _Service.stop


class NotificationIntegration(_Service):
    """The layer for existing code."""

    send_signal = staticmethod(send_signal_async)
    send_signal_notification = staticmethod(send_signal_async)


class AsyncNotificationStartup(_Service):
    """The lifecycle."""

    on_strategy_start = staticmethod(on_strategy_start)
    on_strategy_stop = staticmethod(on_strategy_stop)
    initialize = _Service.start
    shutdown = _Service.stop


def _warn_ignored(name: str, settings: list[str]) -> None:
    """Only their names: a setting may be a webhook."""
    if settings and name not in _warned:
        _warned.add(name)
        _log.info("%s: %s: alerts.toml says that now", name, ", ".join(settings))
