"""The aggregator: reads, decides, sorts and hands over; each step has a module of its own."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, Self

from tocsin.at_exit import FLUSH_SECONDS
from tocsin.client import Client
from tocsin.loop_waker import in_thread
from tocsin.replies import describe
from tocsin.signals import Receipt, Signal

from .alert_hooks import AlertHooks
from .decisions import Decision, as_alert, decide
from .dedup import with_stable_id
from .mappings import pairs_of
from .parsing import Read, Rejected, read_all
from .ranking import rank
from .report import Failed, Report
from .settings import settings, weights
from .submit_queue import submit_queue
from .webhook_target import WebhookTarget

_log = logging.getLogger("tocsin.trading")
_MOST_RUNS = 16  # whose inputs are known, for subclasses that schedule the alerts of a run later, and
_MOST_INPUTS = 10_000  # of several runs
_MOST_LOGGED = 100  # kinds of problems that are logged


class _Alert(NamedTuple):
    """An alert, and its place in the input: alerts of one time keep their order."""

    place: int
    signal: Signal


class _Result(NamedTuple):
    """A returned input, its alerts that are not handed over yet, and its run's report."""

    item: Any
    alerts: list[_Alert]
    report: Report


_Results = dict[int, _Result]  # of one run, by the id of the input


class SignalAggregator(AlertHooks):
    """Weighs and sorts the signals of several strategies, and hands them over, if so configured.

    `strategy_weights` is {strategy: number}; the default weight is 1. `aggregation_config` may have the keys discord_alerts (false),
    discord_webhook_url, discord_config, min_confidence (0), window (seconds or a duration, "1h"), conflict (tell, strongest or none), once
    (false), and for every alert tier, priority, expires, tags, to, source. `client` is a tocsin.Client; by default one is made.

    May be used from any thread, coroutine or forked process. Nothing here raises. `alert_hooks` has the methods to override.
    """

    def __init__(
        self,
        strategy_weights: Mapping[str, float] | None = None,
        aggregation_config: Mapping[str, Any] | None = None,
        *,
        client: Client | None = None,
    ) -> None:
        self.report = Report()
        self.strategy_weights = strategy_weights if strategy_weights is not None else {}
        self.aggregation_config = aggregation_config if aggregation_config is not None else {}
        self._settings = settings(aggregation_config)
        self._alerts_configured = self._settings.alerts
        self._weights, odd = weights(strategy_weights)
        self._weights_of = pairs_of(strategy_weights)
        self._client = client or Client()
        self._target = WebhookTarget(self._client, self._settings.webhook)
        self._waiting: deque[tuple[list[Signal], Report]] = deque()
        self._results: deque[_Results] = deque(maxlen=_MOST_RUNS)
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
        aggregated = self._process_signals(strategy_signals)
        if failed:
            self.report = replace(self.report, failed=tuple(failed))  # with the same list of receipts
        if aggregated and self._alerts_are_on():
            try:
                self._schedule_discord_alerts(aggregated)
            except Exception as error:  # noqa: BLE001 - an override may raise anything
                self._log_once(
                    "schedule", f"_schedule_discord_alerts raised {describe(error)}; the daemon gets the alerts"
                )
                self._submit_alerts(aggregated)
        return aggregated

    def _process_signals(self, strategy_signals: Mapping[str, Iterable[Any]]) -> list[Any]:
        """As `aggregate_signals`, without alerts."""
        read, rejected = _apart(read_all(strategy_signals, self._settings.in_every_alert))
        chosen = self._settings
        if chosen.alerts is not self._alerts_are_on():
            chosen = replace(chosen, alerts=not chosen.alerts)
        judged = list(zip(read, decide(read, self._current_weights(), chosen), strict=True))
        verdicts = sorted(judged, key=lambda pair: rank(pair[0].signal.confidence, pair[0].signal.timestamp))
        self.report = report = Report(tuple(verdict for _, verdict in verdicts), tuple(rejected))
        results: _Results = {}
        for place, (each, verdict) in enumerate(judged):
            alerts = results.setdefault(id(each.item), _Result(each.item, [], report)).alerts
            if verdict.alerted:
                alerts.append(_Alert(place, self._alert(each.signal, verdict)))
        if chosen.alerts:
            self._remember(results)
        for problem in rejected:
            self._log_once(f"{problem.field} {problem.reason}", f"{problem}; the signal is left out")
        return [each.item for each, _ in verdicts]

    def _current_weights(self) -> dict[str, float]:
        """The weights, read again where the program has changed them."""
        given = pairs_of(self.strategy_weights)
        try:
            changed = given != self._weights_of
        except Exception:  # noqa: BLE001 - a foreign __eq__ may raise anything
            changed = True
        if changed:
            self._weights, self._weights_of = weights(self.strategy_weights)[0], given
        return self._weights

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all alerts are handed over; False when they are not within `seconds`. `report.receipts` has their receipts."""
        return submit_queue().flush(seconds)

    def cleanup(self) -> None:
        """Flush, and close the connection. May be called repeatedly, also if `__init__` failed; the aggregator stays usable."""
        executor = vars(self).get("_discord_executor")
        if executor is not None:
            with suppress(Exception):  # a subclass's own
                executor.shutdown(wait=True)
        self.flush()
        client = vars(self).get("_client")
        if client is not None:
            client.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the same settings, and threads of its own; the original hands over what is queued."""
        state = {**vars(self), "_waiting": deque(), "_results": deque(maxlen=_MOST_RUNS)}
        state.pop("_discord_executor", None)
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def _alert(self, signal: Signal, verdict: Decision) -> Signal:
        return as_alert(with_stable_id(signal) if self._settings.once else signal, verdict)

    def _remember(self, results: _Results) -> None:
        """Know the inputs of this run and some earlier ones."""
        known = self._results
        known.append(results)
        with suppress(IndexError):  # another thread forgets, too
            while len(known) > 1 and sum(map(len, tuple(known))) > _MOST_INPUTS:
                known.popleft()

    def _submit_alerts(self, signals: Iterable[Any]) -> None:
        """Queue the alerts among `signals` that are not handed over yet: inputs of the last runs, or signals that a subclass made."""
        found: dict[int, tuple[Report, list[_Alert]]] = {}
        for item in signals:
            report, alerts = self._taken(item)
            found.setdefault(id(report), (report, []))[1].extend(alerts)
        for report, alerts in found.values():
            self._submit([alert.signal for alert in sorted(alerts, key=lambda alert: alert.place)], report)

    def _taken(self, item: Any) -> tuple[Report, list[_Alert]]:
        """The alerts for an item, and the report that gets their receipts."""
        for results in reversed(tuple(self._results)):
            known = results.get(id(item))
            if known is not None:
                return known.report, [known.alerts.pop() for _ in tuple(known.alerts)]
        try:
            return self.report, [_Alert(0, self._own_alert(item))]
        except Exception as error:  # noqa: BLE001 - foreign objects may raise anything
            self._log_once(describe(error), f"an alert was not sent: {describe(error)}")
            return self.report, []

    def _own_alert(self, item: Any) -> Signal:
        """The alert for a signal of no run."""
        from tocsin.compat.foreign_signals import signal_of  # noqa: PLC0415 - few subclasses make signals

        return Signal.trusted({**self._settings.in_every_alert, **signal_of(item).as_dict()})

    async def _hand_over(self, alerts: Sequence[Signal]) -> bool:
        """Whether these are on disk."""
        report = Report()
        self._submit([Signal.trusted({**self._settings.in_every_alert, **each.as_dict()}) for each in alerts], report)
        await in_thread(self.flush)
        return len(report.receipts) == len(alerts) and all(receipt.accepted for receipt in report.receipts)

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
