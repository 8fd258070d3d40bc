"""`discord_manager` of an aggregator: sends single signals and messages as alerts, whatever their confidence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.loop_waker import in_thread
from tocsin.replies import describe


class DiscordManager:
    """The methods of old managers. Each coroutine returns whether the daemon or the spool has all of it on disk, and never raises.

    A signal is any object, as `tocsin.compat` reads it; a text and a Discord payload are messages.
    """

    def __init__(self, aggregator: Any) -> None:
        self._aggregator = aggregator

    async def send_signal(self, signal: Any, *_: Any, **context: Any) -> bool:
        """Send one signal. Keyword arguments become fields of the message."""
        return await self._send([signal], context)

    async def send_signals(self, signals: Iterable[Any], *_: Any, **context: Any) -> bool:
        """Send several."""
        return await self._send(signals, context)

    send_alert = send_signal_alert = send_message = send_notification = send_signal
    send_alerts = send_signals

    async def close(self) -> None:
        """Wait for the hand-off of what was sent."""
        await in_thread(self._aggregator.flush)

    async def _send(self, signals: Iterable[Any], context: dict[str, Any]) -> bool:
        from tocsin.compat.foreign_signals import signal_of  # noqa: PLC0415 - few aggregators send single signals

        alerts, whole = [], True
        for each in signals:
            try:
                alerts.append(signal_of(each, context=context or None))
            except Exception as error:  # noqa: BLE001 - foreign objects may raise anything
                self._aggregator.logger.warning("an alert was not sent: %s", describe(error))
                whole = False
        return bool(await self._aggregator._hand_over(alerts)) and whole  # noqa: SLF001 - the aggregator's own part
