"""The methods and attributes of old aggregators, which subclasses call and override.

Old code aggregates like this, and so does SignalAggregator, so that an override of any step has its effect:

    aggregated = self._process_signals(strategy_signals)
    if self.discord_manager and aggregated:
        self._schedule_discord_alerts(aggregated)

    _process_signals                    reads, decides and sorts
    _schedule_discord_alerts            hands the alerts among these signals over, without waiting
    _schedule_discord_alerts_fallback   the same
    _send_discord_alerts                a coroutine: the same, and waits until they are on disk
    _send_discord_alerts_sync           the same for threads
    discord_manager                     None while alerts are off; may be replaced, and None or False switches alerts off
    _discord_executor, logger           may be used and replaced

A subclass that overrides `_send_discord_alerts` or `_send_discord_alerts_sync` sends by itself: its coroutine runs as a task of the running
asyncio loop, or else in a thread with a loop of its own. When it raises, the daemon gets the alerts.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from tocsin.loop_waker import in_thread, is_in_trio

from .discord_manager import DiscordManager

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import Executor

_OWN = object()  # discord_manager was not replaced


class AlertHooks:
    """Base of SignalAggregator, which has `flush`, and `_submit_alerts` for the alerts among some signals."""

    flush: Callable[[], bool]
    _submit_alerts: Callable[[Sequence[Any]], object]
    _alerts_configured = False
    _manager: Any = _OWN

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger of the class's module."""
        return logging.getLogger(type(self).__module__)

    @cached_property
    def _discord_executor(self) -> Executor | None:
        from .alert_executor import AlertExecutor  # noqa: PLC0415 - few subclasses use it, and its import is slow

        return AlertExecutor()

    @property
    def discord_manager(self) -> Any:
        """Sends single signals and messages; None while alerts are off."""
        if self._manager is not _OWN:
            return self._manager
        return DiscordManager(self) if self._alerts_configured else None

    @discord_manager.setter
    def discord_manager(self, manager: Any) -> None:
        self._manager = manager

    def _alerts_are_on(self) -> bool:
        try:
            return bool(self.discord_manager)
        except Exception:  # noqa: BLE001 - a foreign __bool__ may raise anything
            return True

    def _schedule_discord_alerts(self, signals: Sequence[Any]) -> None:
        if not self._sends_itself():
            self._submit_alerts(signals)
        elif (loop := _running_loop()) is not None:
            _background(loop, self._send_or_submit(signals))
        elif self._discord_executor is not None:
            self._discord_executor.submit(self._send_discord_alerts_sync, signals)
        else:
            self._send_discord_alerts_sync(signals)

    def _schedule_discord_alerts_fallback(self, signals: Sequence[Any]) -> None:
        self._submit_alerts(signals)

    def _send_discord_alerts_sync(self, signals: Sequence[Any]) -> None:
        if _is_from(AlertHooks, self._send_discord_alerts):
            self._submit_alerts(signals)
            self.flush()
            return
        import asyncio  # noqa: PLC0415 - only such a subclass needs it

        asyncio.run(self._send_or_submit(signals))

    def _send_discord_alerts(self, signals: Sequence[Any]) -> Coroutine[Any, Any, Any]:
        self._submit_alerts(signals)  # now: a loop that ends may cancel the task before it begins
        return in_thread(self.flush)

    async def _send_or_submit(self, signals: Sequence[Any]) -> None:
        """As the subclass sends; the alerts that this leaves, because it raised, go to the daemon."""
        try:
            sending = self._send_discord_alerts(signals)
            if iscoroutine(sending):
                await sending
        except Exception as error:  # noqa: BLE001 - the subclass may raise anything
            self.logger.warning("_send_discord_alerts raised %s; the daemon gets the alerts", type(error).__name__)
            self._submit_alerts(signals)

    def _sends_itself(self) -> bool:
        ours = (self._send_discord_alerts, self._send_discord_alerts_sync)
        return not all(_is_from(AlertHooks, method) for method in ours)


def _is_from(kind: type, method: Any) -> bool:
    """Whether a bound method is that of `kind`, neither overridden nor replaced in the object."""
    return getattr(method, "__func__", None) is getattr(kind, getattr(method, "__name__", ""), _OWN)


def _running_loop() -> AbstractEventLoop | None:
    """The running asyncio loop; None in trio, and where none runs."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or is_in_trio():
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop


_tasks: set[Any] = set()  # a loop holds its tasks weakly


def _background(loop: AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    task = loop.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
