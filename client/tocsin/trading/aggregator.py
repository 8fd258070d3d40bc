"""The aggregator: reads, judges, sorts and hands over. Each of these is a room of its own; here is the walk through them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Self

from tocsin.at_exit import FLUSH_SECONDS
from tocsin.client import Client
from tocsin.signals import Receipt, Signal

from .decisions import Decision, as_alert, decide
from .dedup import with_stable_id
from .parsing import Read, Rejected, read_all
from .ranking import rank
from .report import Failed, Report
from .settings import settings, weights
from .submit_queue import submit_queue
from .webhook_target import WebhookTarget

_log = logging.getLogger("tocsin.trading")
_MOST_TOLD = 100  # kinds of trouble that are logged; after so many, nobody reads on


class SignalAggregator:
    """Weighs and sorts the signals of several strategies, and has them handed over, if so configured.

    `strategy_weights` is {strategy: number}; who has none weighs 1. `aggregation_config` may have the keys discord_alerts (false),
    discord_webhook_url, discord_config, min_confidence (0), window (seconds or a duration, "1h"), conflict (tell, strongest or none), once
    (false), and for every alert tier, priority, expires, tags, to, source. `client` is a tocsin.Client; by default one is made.

    May be used from any thread, coroutine or fork. Nothing here raises.
    """

    def __init__(
        self,
        strategy_weights: Mapping[str, float] | None = None,
        aggregation_config: Mapping[str, Any] | None = None,
        *,
        client: Client | None = None,
    ) -> None:
        self.report = Report()
        self._settings = settings(aggregation_config)
        self._weights, odd = weights(strategy_weights)
        self._client = client or Client()
        self._target = WebhookTarget(self._client, self._settings.webhook)
        self._waiting: deque[tuple[list[Signal], Report]] = deque()
        self._logged: set[str] = set()
        for problem in (*self._settings.problems, *odd):
            self._log_once(problem, problem)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the configuration; the defaults stand in for it."""
        return self._settings.problems

    def aggregate_signals(
        self, strategy_signals: Mapping[str, Iterable[Any]], *, failed: Sequence[Failed] = ()
    ) -> list[Any]:
        """The valid ones of {strategy: signals}, all of them, sorted by (-confidence, -timestamp); alerts are on their way.

        A signal is a TradingSignal, a tocsin.Signal, a mapping, or an object with a signal's attributes, and what is returned is the same
        object. `report` has the rest of the story.
        """
        read, rejected = _apart(read_all(strategy_signals, self._settings.in_every_alert))
        judged = list(zip(read, decide(read, self._weights, self._settings), strict=True))
        alerts = [self._alert(each.signal, verdict) for each, verdict in judged if verdict.alerted]
        judged.sort(key=lambda pair: rank(pair[0].signal.confidence, pair[0].signal.timestamp))
        report = Report(tuple(verdict for _, verdict in judged), tuple(rejected), tuple(failed))
        for trouble in rejected:
            self._log_once(f"{trouble.field} {trouble.reason}", f"{trouble}; the signal is left out")
        self._submit(alerts, report)
        self.report = report
        return [each.item for each, _ in judged]

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was alerted is handed over; False when it is not by then. `report.receipts` says what became of it."""
        return submit_queue().flush(seconds)

    def cleanup(self) -> None:
        """Flush, and close the connection. As often as you like; the aggregator stays usable."""
        self.flush()
        self._client.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the same settings; what waits is handed over by the original."""
        return {**vars(self), "_waiting": deque()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def _alert(self, signal: Signal, verdict: Decision) -> Signal:
        return as_alert(with_stable_id(signal) if self._settings.once else signal, verdict)

    def _submit(self, alerts: list[Signal], report: Report) -> None:
        if not alerts:
            return
        alerts.sort(key=_oldest_first)
        self._waiting.append((alerts, report))
        if submit_queue().put(self._submit_all, len(alerts)):
            return
        try:
            self._waiting.remove((alerts, report))
        except ValueError:  # the thread has just taken it
            return
        reason = "too many signals wait already"
        report.receipts.extend(Receipt(alert.id, "dropped", reason) for alert in alerts)
        self._log_once(reason, f"an alert was dropped: {reason}")

    def _submit_all(self) -> None:
        """All that waits by now, at once: with a daemon that hangs each hand-off takes its whole timeout, however many it is for."""
        batches = [self._waiting.popleft() for _ in range(len(self._waiting))]
        receipts = iter(self._target.send([alert for alerts, _ in batches for alert in alerts]) if batches else ())
        for alerts, report in batches:
            report.receipts.extend(islice(receipts, len(alerts)))  # the client has logged what was refused or dropped
        if self._target.problem:
            self._log_once("road", self._target.problem)

    def _log_once(self, kind: str, text: str) -> None:
        """Each kind of trouble once: what is wrong in a loop is wrong a thousand times."""
        if kind not in self._logged and len(self._logged) < _MOST_TOLD:
            self._logged.add(kind)
            _log.warning("%s", text)


def _apart(found: Any) -> tuple[list[Read], list[Rejected]]:
    read: list[Read] = []
    rejected: list[Rejected] = []
    for each in found:
        (read if isinstance(each, Read) else rejected).append(each)
    return read, rejected


def _oldest_first(alert: Signal) -> tuple[bool, float]:
    """What has no time is of now. Where times are the same, the order in which they were raised holds."""
    return (alert.timestamp is None, alert.timestamp or 0.0)
