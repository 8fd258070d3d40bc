"""The status as Prometheus text: `/metrics`, and `tocsin status --prometheus`.

Every number stands in `tocsin status --json` already, so the two cannot disagree; a counter that is new there is new here, under the same
name. Prometheus' own library writes the text. It is loaded when somebody asks for the first time, and in a thread, because it brings
half of the standard library's HTTP along: an idle daemon does not hold it, and no sender waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import trio

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONDITIONS = ("ready", "limited", "failing", "probing", "disabled")
HEALTH = ("ok", "degraded", "failing")

Row = tuple[tuple[str, ...], float]  # the labels' values, and the number
_Status = Mapping[str, Any]


class Series(msgspec.Struct, frozen=True):
    """One metric with all its rows. A counter is named without its `_total`, as Prometheus' library has it."""

    kind: str  # "counter" or "gauge"
    name: str
    about: str
    labels: tuple[str, ...]
    rows: Sequence[Row]


async def render(status: _Status) -> bytes:
    """The text that says what this status says."""
    return await trio.to_thread.run_sync(_text, status)


def _text(status: _Status) -> bytes:
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - see above

    return generate_latest(_Collector(status))


class _Collector:
    """What the library asks for metrics."""

    def __init__(self, status: _Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import (  # noqa: PLC0415 - see above
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for each in series(self._status):
            make = CounterMetricFamily if each.kind == "counter" else GaugeMetricFamily
            family = make(each.name, each.about, labels=each.labels)
            for labels, value in each.rows:
                family.add_metric(labels, value)
            yield family
        ages = HistogramMetricFamily("tocsin_arrival_age_seconds", _ARRIVALS, labels=("destination",))
        for destination in self._status["destinations"]:
            found = destination["arrivals"]
            buckets = [*found["le"].items(), ("+Inf", found["count"])]
            ages.add_metric((destination["name"],), buckets, found["seconds"])
        yield ages


_ARRIVALS = "How old deliveries were when they arrived, from acceptance on."


def series(status: _Status) -> Iterator[Series]:
    """Every metric but the histogram."""
    yield from _of_the_daemon(status)
    yield from _counters(status)
    yield from _of_destinations(status["destinations"])
    yield from _of_gates(status["destinations"])
    yield from _of_parts(status)


def _gauge(name: str, about: str, value: float | None) -> Series:
    """A number; one that is not known has no row."""
    return Series("gauge", f"tocsin_{name}", about, (), [] if value is None else [((), float(value))])


def _one_of(name: str, about: str, words: Iterable[str], word: str) -> Series:
    return Series("gauge", f"tocsin_{name}", about, (name,), [((each,), float(each == word)) for each in words])


def _of_the_daemon(status: _Status) -> Iterator[Series]:
    storage, queue = status["storage"], status["queue"]
    yield Series("gauge", "tocsin_build_info", "The daemon's version.", ("version",), [((status["version"],), 1.0)])
    yield _gauge("uptime_seconds", "Since the daemon began.", status["uptime_seconds"])
    yield _one_of("health", "1 at what `tocsin status` says of its health.", HEALTH, status["health"])
    yield _gauge("problems", "What a person should look at: `tocsin status` tells each.", len(status["problems"]))
    yield _gauge("undelivered_deliveries", "Dead deliveries of signals that reached nobody.", queue["undelivered"])
    yield _gauge("journal_bytes", "Of the journal that are in use.", storage["bytes"])
    yield _gauge("disk_free_bytes", "Free where the journal lies.", storage["free_bytes"])
    yield _gauge("disk_reserve_bytes", "With less free than this no signal is taken.", storage["reserve_bytes"])
    yield _gauge("storage_healthy", "1 while signals are taken and the journal can be written.", storage["healthy"])


def _counters(status: _Status) -> Iterator[Series]:
    """Those that no destination has; the labelled ones are with their destinations."""
    accepted = [((priority,), float(n)) for priority, n in status["accepted"].items()]
    yield Series("counter", "tocsin_signals_accepted", "Signals on disk.", ("priority",), accepted)
    elsewhere = {"signals_accepted", "circuit_breaker_trips", "queue_depth"}
    elsewhere.update(*(destination["counters"] for destination in status["destinations"]))
    for name, value in status["counters"].items():
        if name not in elsewhere:
            yield Series("counter", f"tocsin_{name}", _build_info(name), (), [((), float(value))])


def _build_info(counter: str) -> str:
    return _ABOUT.get(counter, counter.replace("_", " ").capitalize() + ".")


_ABOUT = {
    "notifications_queued": "Deliveries owed by accepted signals.",
    "notifications_sent": "Deliveries that arrived, those in doubt included.",
    "notifications_failed": "Deliveries given up on.",
    "signals_duplicate": "Signals whose id came again.",
    "signals_refused": "Signals that said nothing, or named a destination that does not exist; by programs' own reports included.",
    "signals_dropped": "Signals that neither the daemon nor the spool took, as programs report.",
    "signals_lost": "Signals whose sender did not wait for the disk, which was full.",
    "signals_unrouted": "Signals that no route takes.",
    "deliveries_deferred": "Attempts that did not succeed; the delivery waits for another.",
    "deliveries_in_doubt": "Deliveries that may have arrived; nobody can say.",
    "deliveries_expired": "Deliveries whose time passed before they could be sent.",
    "deliveries_rerouted": "Deliveries that went to a fallback.",
    "deliveries_digested": "Deliveries told in sum, by a digest.",
    "deliveries_dropped": "Deliveries dropped by hand.",
    "rate_limited": "Rate limits that the far end told (429).",
    "probes_failed": "Tries that found a resting far end still failing.",
    "destinations_disabled": "Destinations told never to come back.",
    "connections_refused": "Connections to the socket that were turned away.",
    "requests_not_permitted": "Requests that only the sender, root or the daemon's own user may make.",
    "sources_reserved": "Signals that claimed to come from tocsin itself; they are stored with another source.",
    "spool_signals_taken": "Signals taken in from the spool.",
    "spool_files_quarantined": "Files of the spool that could not be taken.",
    "alarms_raised": "Alarms about the daemon itself.",
    "all_clears": "Alarms about the daemon itself that were followed by an all-clear.",
    "signals_reported_missed": "Signals that expired, died or were dropped, and that people were told of.",
    "alarms_undeliverable": "Alarms about the daemon itself that no road was left for.",
}


_PER_DESTINATION = (
    ("gauge", "destination_wanted", "wanted", "0 for a destination that the configuration leaves out."),
    ("gauge", "dead_deliveries", "dead", "Deliveries given up on, kept for a person."),
    ("gauge", "last_success_age_seconds", "last_success_seconds", "Since something last arrived there."),
    ("counter", "circuit_breaker_trips", "trips", "Rests that a failing far end was given."),
)


def _of_destinations(destinations: list[dict[str, Any]]) -> Iterator[Series]:
    yield _by_priority("queue_depth", "Deliveries that wait or are being sent.", "queued", destinations)
    about = "Of the oldest that waits or is being sent; 0 when nothing does."
    yield _by_priority("queue_age_seconds", about, "oldest_by_priority", destinations)
    conditions = [
        ((each["name"], word), float(each["condition"] == word)) for each in destinations for word in CONDITIONS
    ]
    about = "1 at the condition in which the destination is."
    yield Series("gauge", "tocsin_destination_condition", about, ("destination", "condition"), conditions)
    for kind, name, key, about in _PER_DESTINATION:
        rows = [((each["name"],), float(each[key])) for each in destinations if each[key] is not None]
        yield Series(kind, f"tocsin_{name}", about, ("destination",), rows)
    for name in destinations[0]["counters"] if destinations else ():
        rows = [((each["name"],), float(each["counters"][name])) for each in destinations]
        yield Series("counter", f"tocsin_{name}", _build_info(name), ("destination",), rows)


def _by_priority(name: str, about: str, key: str, destinations: list[dict[str, Any]]) -> Series:
    rows = [
        ((each["name"], priority), float(value or 0)) for each in destinations for priority, value in each[key].items()
    ]
    return Series("gauge", f"tocsin_{name}", about, ("destination", "priority"), rows)


def _of_gates(destinations: list[dict[str, Any]]) -> Iterator[Series]:
    for name, key, about in (
        ("limit_size", "count", "Requests that a limit permits in its time."),
        ("limit_left", "left", "Requests that are left of it now."),
        ("limit_reserved", "kept", "Of these, kept for URGENT and HIGH."),
    ):
        rows = [
            ((each["name"], window["name"]), float(window[key]))
            for each in destinations
            for window in each["limits"]["windows"]
        ]
        yield Series("gauge", f"tocsin_{name}", about, ("destination", "window"), rows)


def _of_parts(status: _Status) -> Iterator[Series]:
    spool, heartbeat = status["spool"] or {}, status.get("heartbeat") or {}
    if log := status.get("log"):
        about = "Lines of the log that nobody read, or that could not be written."
        yield Series("counter", "tocsin_log_lines_dropped", about, (), [((), float(log["dropped_lines"]))])
    yield _gauge("spool_files", "Files in the spool that are to be taken in.", spool.get("files"))
    yield _gauge("spool_quarantined", "Files of the spool put aside for a person.", spool.get("quarantined"))
    for name, about in (
        ("beats", "Heartbeats that were heard."),
        ("failures", "Heartbeats that could not be told."),
        ("withheld", "Heartbeats withheld because deliveries did not work."),
    ):
        if name in heartbeat:
            yield Series("counter", f"tocsin_heartbeat_{name}", about, (), [((), float(heartbeat[name]))])
    if heartbeat:
        yield _gauge(
            "heartbeat_age_seconds", "Since the last heartbeat that was heard.", heartbeat["last_success_seconds"]
        )
