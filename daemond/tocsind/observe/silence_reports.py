"""Reports the end of each silence by the routes: who silenced what, for how long, and how many signals.

The journal keeps which ends are unreported, and the id of a report follows from what it says, so each is reported once, also one that ended
while the daemon was not running. A signal that was counted after its report, because its commit came late, brings a second report.
"""

from __future__ import annotations

import os
from hashlib import blake2s

import trio

from tocsin.durations import format_duration
from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.clock import Clock
from tocsind.core.accept import Acceptor
from tocsind.core.active_config import ActiveConfig
from tocsind.core.admission import Peer
from tocsind.core.silences import Silences
from tocsind.errors import StorageFull
from tocsind.events import Emit, SilenceReported
from tocsind.policy.delivery import Priority
from tocsind.policy.routes import by_rules
from tocsind.policy.silence import Silence
from tocsind.policy.sources import DAEMON_SOURCE

from .alarm_routes import AlarmRoutes

RETRY_SECONDS = 5.0  # s until the next attempt while the disk is full
LONGEST_SLEEP = 600.0  # s; the machine may be suspended


class SilenceReports:
    """The task: `run` until cancelled."""

    def __init__(
        self,
        silences: Silences,
        acceptor: Acceptor,
        routes: AlarmRoutes,
        *,
        config: ActiveConfig,
        clock: Clock,
        emit: Emit,
    ) -> None:
        self._silences = silences
        self._acceptor = acceptor
        self._routes = routes
        self._config = config
        self._clock = clock
        self._emit = emit

    async def run(self) -> None:
        """Report each end when it comes."""
        while True:
            changed = self._silences.changed
            wait = await self.send_due()
            with trio.move_on_after(min(wait, LONGEST_SLEEP)):
                await changed.wait()

    async def send_due(self) -> float:
        """Submit the reports that are due; in how many seconds to call again, infinity without a silence."""
        try:
            for silence in await self._silences.list_unreported():
                await self._report(silence)
        except StorageFull:
            return RETRY_SECONDS
        return self._silences.until_next_end()

    async def _report(self, silence: Silence) -> None:
        signal = self._signal(silence)
        await self._acceptor.accept([signal], Peer(os.getuid(), os.getgid(), os.getpid()), from_daemon=True)
        await self._silences.on_reported(silence)
        self._emit(SilenceReported(signal.id, silence.id, silence.signals))

    def _signal(self, silence: Silence) -> Signal:
        priority = Priority.NORMAL if silence.signals else Priority.LOW
        lasted = format_duration(max(1, round(silence.until - silence.since)))
        identity = f"silence {silence.id} {silence.signals}"
        signal = Signal(
            f"Silence over: {_counted(silence.signals)}",
            body="\n".join(_lines(silence, lasted)),
            priority=priority.label,
            source=DAEMON_SOURCE,
            id=id_of(0, blake2s(identity.encode(), digest_size=10).digest()),
        )
        route = None if by_rules(signal, priority, self._config.current.routes) else self._routes.working(None)
        return Signal.trusted({**signal.as_dict(), "to": [route]}) if route else signal


def _lines(silence: Silence, lasted: str) -> list[str]:
    early = "" if silence.ended_by is None else f", ended early by uid {silence.ended_by}"
    lines = [f"{silence.written}, by uid {silence.uid}, for {lasted}{early}."]
    lines += [f"Reason: {silence.reason}"] if silence.reason else []
    if silence.highest is not None:
        highest = Priority(silence.highest).label
        lines.append(f"The highest priority was {highest}.\nWhich they are: tocsin queue --state silenced")
    return lines


def _counted(signals: int) -> str:
    if not signals:
        return "no signal matched"
    return "1 signal silenced" if signals == 1 else f"{signals:,} signals silenced"
