"""The old classes, for code that makes instances of them, or subclasses. They send, query the daemon, and start it.

The settings that they took (pools, limits, retries, webhooks) are now in alerts.toml. The arguments are accepted and ignored, and a warning
names what replaces them there. No class needs its `__init__` to have run, and each method calls the others by their names, so that an
override has its effect on all of them.
"""

from __future__ import annotations

import logging
from typing import Any, Self

from tocsin.autostart import PATIENCE, is_served, start
from tocsin.loop_waker import in_thread
from tocsin.old_settings import advice

from .health import get_health_status, get_metrics
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
        _warn_ignored(
            type(self).__name__, {**{f"argument {n}": each for n, each in enumerate(given, start=1)}, **settings}
        )

    @property
    def logger(self) -> logging.Logger:
        """The logger of the class's module."""
        return vars(self).get("_logger") or logging.getLogger(type(self).__module__)

    @logger.setter
    def logger(self, logger: logging.Logger) -> None:
        vars(self)["_logger"] = logger

    async def send_signal_async(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `tocsin.compat.send_signal_async`."""
        return await send_signal_async(signal, *more, **named)

    async def send_signal_to_discord(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `tocsin.compat.send_signal_to_discord`."""
        return await send_signal_to_discord(signal, *more, **named)

    def send_signal_sync(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `tocsin.compat.send_signal_sync`."""
        return send_signal_sync(signal, *more, **named)

    def get_metrics(self) -> dict[str, Any]:
        """As `tocsin.compat.get_metrics`."""
        return get_metrics()

    def get_health_status(self, *thresholds: Any, **named: Any) -> dict[str, Any]:
        """As `tocsin.compat.get_health_status`."""
        return get_health_status(*thresholds, **named)

    @property
    def metrics(self) -> dict[str, Any]:
        """The result of `get_metrics`."""
        return self.get_metrics()

    @property
    def queue_depth(self) -> int | None:
        """How many signals wait; None where that is unknown."""
        depth: int | None = self.get_metrics()["queue_depth"]
        return depth

    @property
    def circuit_breaker_state(self) -> str:
        """closed, half_open, open or unknown: the worst of all destinations."""
        state: str = self.get_health_status()["circuit_breaker_state"]
        return state

    async def start(self) -> bool:
        """As `on_strategy_start`, without blocking the loop."""
        return await in_thread(start)

    async def stop(self) -> bool:
        """As `on_strategy_stop`, without blocking the loop."""
        return await in_thread(flush)

    async def initialize(self) -> bool:
        """As `start`."""
        return await self.start()

    async def shutdown(self) -> bool:
        """As `stop`."""
        return await self.stop()

    async def close(self) -> bool:
        """As `stop`."""
        return await self.stop()

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

    async def queue_notification(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_async`."""
        return await self.send_signal_async(signal, *more, **named)

    async def queue_signal(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_async`."""
        return await self.send_signal_async(signal, *more, **named)

    @property
    def discord_service(self) -> DiscordService:
        """What sends to Discord."""
        return DiscordService()


class DiscordService(_Service):
    """The old sender to Discord."""

    async def send_signal(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_to_discord`."""
        return await self.send_signal_to_discord(signal, *more, **named)

    async def send_message(self, message: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_to_discord`: a text, or the payload of a webhook, which arrives as the message that it is."""
        return await self.send_signal_to_discord(message, *more, **named)


class NotificationIntegration(_Service):
    """The old layer for existing code."""

    async def send_signal(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_async`."""
        return await self.send_signal_async(signal, *more, **named)

    async def send_signal_notification(self, signal: Any, *more: Any, **named: Any) -> bool:
        """As `send_signal_async`."""
        return await self.send_signal_async(signal, *more, **named)

    @property
    def notification_service(self) -> AsyncNotificationService:
        """What queues the signals."""
        return AsyncNotificationService()


class AsyncNotificationStartup(_Service):
    """The old start and stop."""

    def on_strategy_start(self, *given: Any, **named: Any) -> bool:
        """As `tocsin.compat.on_strategy_start`."""
        return on_strategy_start(*given, **named)

    def on_strategy_stop(self, *given: Any, **named: Any) -> bool:
        """As `tocsin.compat.on_strategy_stop`."""
        return on_strategy_stop(*given, **named)


def _warn_ignored(name: str, settings: dict[str, Any]) -> None:
    """Warn of settings, once for each class, without their texts: one may be a webhook."""
    if settings and name not in _warned:
        _warned.add(name)
        for said in advice(settings, name):
            _log.warning("%s", said)
