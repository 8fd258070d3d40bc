"""The aggregator: reads, decides, sorts and hands over; each step has a module of its own."""

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
_MOST_LOGGED = 100  # kinds of problems that are logged


class SignalAggregator:
    """Weighs and sorts the signals of several strategies, and hands them over, if so configured.

    `strategy_weights` is {strategy: number}; the default weight is 1. `aggregation_config` may have the keys discord_alerts (false),
    discord_webhook_url, discord_config, min_confidence (0), window (seconds or a duration, "1h"), conflict (tell, strongest or none), once
    (false), and for every alert tier, priority, expires, tags, to, source. `client` is a tocsin.Client; by default one is made.

    May be used from any thread, coroutine or forked process. Nothing here raises.
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
        """The errors in the configuration; the defaults are used instead."""
        return self._settings.problems

    def aggregate_signals(
        self, strategy_signals: Mapping[str, Iterable[Any]], *, failed: Sequence[Failed] = ()
    ) -> list[Any]:
        """Queue alerts, and return all valid signals of {strategy: signals}, sorted by (-confidence, -timestamp).

        A signal is a TradingSignal, a tocsin.Signal, a mapping, or an object with a signal's attributes; the same object is returned.
        `report` has the decisions and the rejected inputs.
        """
        read, rejected = _apart(read_all(strategy_signals, self._settings.in_every_alert))
        judged = list(zip(read, decide(read, self._weights, self._settings), strict=True))
        alerts = [self._alert(each.signal, verdict) for each, verdict in judged if verdict.alerted]
        judged.sort(key=lambda pair: rank(pair[0].signal.confidence, pair[0].signal.timestamp))
        report = Report(tuple(verdict for _, verdict in judged), tuple(rejected), tuple(failed))
        for each in rejected:
            self._log_once(f"{each.field} {each.reason}", f"{each}; the signal is left out")
        self._submit(alerts, report)
        self.report = report
        return [each.item for each, _ in judged]

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all alerts are handed over; False when they are not within `seconds`. `report.receipts` has their receipts."""
        return submit_queue().flush(seconds)

    def cleanup(self) -> None:
        """Flush, and close the connection. May be called repeatedly; the aggregator stays usable."""
        self.flush()
        self._client.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the same settings; the original hands over what is queued."""
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
        """Hand over all queued batches at once: with a daemon that hangs each hand-off takes its whole timeout."""
        batches = [self._waiting.popleft() for _ in range(len(self._waiting))]
        receipts = iter(self._target.send([alert for alerts, _ in batches for alert in alerts]) if batches else ())
        for alerts, report in batches:
            report.receipts.extend(islice(receipts, len(alerts)))  # the client has logged refused and dropped ones
        if self._target.problem:
            self._log_once("webhook", self._target.problem)

    def _log_once(self, kind: str, text: str) -> None:
        """Log each kind of problem once: in a loop it may occur a thousand times."""
        if kind not in self._logged and len(self._logged) < _MOST_LOGGED:
            self._logged.add(kind)
            _log.warning("%s", text)


def _apart(found: Any) -> tuple[list[Read], list[Rejected]]:
    read: list[Read] = []
    rejected: list[Rejected] = []
    for each in found:
        (read if isinstance(each, Read) else rejected).append(each)
    return read, rejected


def _oldest_first(alert: Signal) -> tuple[bool, float]:
    """A sort key by time; an alert without a time counts as of now. The sort is stable."""
    return (alert.timestamp is None, alert.timestamp or 0.0)
