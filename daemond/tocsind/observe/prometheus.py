"""The status as Prometheus text: `/metrics`, and `tocsin status --prometheus`.

Every number comes from the status object, so the two cannot disagree; a new counter there appears here under the same name. Prometheus'
own library writes the text. The first request loads it, in a worker thread: it imports much of the standard library's HTTP, so an idle
daemon does not keep it in memory, and no client waits for it.
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

Row = tuple[tuple[str, ...], float]  # values of the labels, and the number
_Status = Mapping[str, Any]


class Series(msgspec.Struct, frozen=True):
    """One metric with all its rows. The name of a counter lacks its `_total`, which Prometheus' library adds."""

    kind: str  # "counter" or "gauge"
    name: str
    about: str
    labels: tuple[str, ...]
    rows: Sequence[Row]


async def render(status: _Status) -> bytes:
    """The text of a status object."""
    return await trio.to_thread.run_sync(_text, status)


def _text(status: _Status) -> bytes:
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - see above

    return generate_latest(_Collector(status))


class _Collector:
    """The object from which the library collects metrics."""

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


_ARRIVALS = "Age of deliveries at their arrival, in seconds since acceptance."


def series(status: _Status) -> Iterator[Series]:
    """Every metric but the histogram."""
    yield from _of_the_daemon(status)
    yield from _counters(status)
    yield from _of_destinations(status["destinations"])
    yield from _of_limits(status["destinations"])
    yield from _of_parts(status)
    yield from _of_hosts(status.get("shared") or {})


def _gauge(name: str, about: str, value: float | None) -> Series:
    """A number; an unknown one has no row."""
    return Series("gauge", f"tocsin_{name}", about, (), [] if value is None else [((), float(value))])


def _one_of(name: str, about: str, words: Iterable[str], word: str) -> Series:
    return Series("gauge", f"tocsin_{name}", about, (name,), [((each,), float(each == word)) for each in words])


def _of_the_daemon(status: _Status) -> Iterator[Series]:
    storage, queue = status["storage"], status["queue"]
    yield Series("gauge", "tocsin_build_info", "The daemon's version.", ("version",), [((status["version"],), 1.0)])
    yield _gauge("uptime_seconds", "Seconds since the daemon started.", status["uptime_seconds"])
    yield _one_of("health", "1 for the health that `tocsin status` shows.", HEALTH, status["health"])
    yield _gauge("problems", "Problems that need an operator: `tocsin status` lists them.", len(status["problems"]))
    yield _gauge(
        "undelivered_deliveries", "Dead deliveries of signals that no destination delivered.", queue["undelivered"]
    )
    yield _gauge("journal_bytes", "Bytes of the journal that are in use.", storage["bytes"])
    yield _gauge("disk_free_bytes", "Free bytes on the disk of the journal.", storage["free_bytes"])
    yield _gauge("disk_reserve_bytes", "With fewer free bytes the daemon accepts no signals.", storage["reserve_bytes"])
    yield _gauge("storage_healthy", "1 while the daemon accepts signals and can write the journal.", storage["healthy"])


def _counters(status: _Status) -> Iterator[Series]:
    """Counters of the daemon; those of destinations have a label and are made below."""
    accepted = [((priority,), float(n)) for priority, n in status["accepted"].items()]
    yield Series("counter", "tocsin_signals_accepted", "Signals accepted.", ("priority",), accepted)
    labelled = {"signals_accepted", "circuit_breaker_trips", "queue_depth"}
    labelled.update(*(destination["counters"] for destination in status["destinations"]))
    for name, value in status["counters"].items():
        if name not in labelled:
            yield Series("counter", f"tocsin_{name}", _help_of(name), (), [((), float(value))])


def _help_of(counter: str) -> str:
    return _HELP.get(counter, counter.replace("_", " ").capitalize() + ".")


_HELP = {
    "notifications_queued": "Deliveries owed by accepted signals.",
    "notifications_sent": "Deliveries that arrived or may have arrived.",
    "notifications_failed": "Deliveries given up on.",
    "signals_duplicate": "Signals whose id was stored before.",
    "signals_refused": "Signals without content, or for a destination that does not exist; reports of clients included.",
    "signals_dropped": "Signals that neither the daemon nor the spool took, as clients report.",
    "signals_lost": "Signals that were lost on a full disk, because their sender did not wait for it.",
    "signals_unrouted": "Signals that match no route.",
    "signals_silenced": "Signals that were stored and not sent, because a silence matches them.",
    "deliveries_deferred": "Attempts that failed; the delivery is tried again.",
    "deliveries_in_doubt": "Deliveries that may have arrived.",
    "deliveries_expired": "Deliveries whose time passed before they could be sent.",
    "deliveries_rerouted": "Deliveries that went to a fallback.",
    "deliveries_digested": "Deliveries that a digest summed up.",
    "deliveries_held": "Deliveries that quiet hours or the delay of a route held back.",
    "deliveries_superseded": "Delayed deliveries whose story ended before they were sent.",
    "deliveries_repeated": "Repetitions of signals that were not acknowledged.",
    "quiet_digests": "Digests at the end of quiet hours.",
    "signals_unacknowledged": "Signals that were not acknowledged after all repetitions.",
    "acknowledgements": "Acknowledgements by users.",
    "deliveries_dropped": "Deliveries that an operator dropped.",
    "rate_limited": "Rate-limit responses of servers (429).",
    "probes_failed": "Probes of failing destinations that failed.",
    "destinations_disabled": "Destinations that were disabled because their server refused them for good.",
    "connections_refused": "Connections to the socket that were refused or closed.",
    "requests_not_permitted": "Requests without the permission of the sender, root or the daemon's user.",
    "sources_reserved": "Signals that claimed to come from tocsin itself; they are stored with another source.",
    "spool_signals_taken": "Signals imported from the spool.",
    "spool_files_quarantined": "Files of the spool that could not be read.",
    "expectations_late": "Alarms about programs that sent no heartbeat, or left without a goodbye.",
    "expectations_met": "Programs that sent heartbeats again after such an alarm.",
    "alarms_raised": "Alarms about the daemon itself.",
    "all_clears": "Alarms that were followed by an all-clear.",
    "signals_reported_missed": "Expired, dead or dropped signals that a report named.",
    "alarms_undeliverable": "Alarms for which no destination worked.",
    "engine_losses": "Times at which the engine that several hosts share stopped answering.",
    "deliveries_for_others": "Deliveries that ended here and that another host accepted and counts.",
    "deliveries_by_others": "Deliveries of this host that another host sent; notifications_sent has them.",
    "leases_taken": "Times at which this host began to send for a destination that several hosts share.",
    "items_quarantined": "Items in the engine that are no deliveries and were put aside.",
}


_PER_DESTINATION = (
    ("gauge", "destination_wanted", "wanted", "0 for a destination that the configuration disables."),
    ("gauge", "held_deliveries", "held", "Deliveries that quiet hours or the delay of a route hold back."),
    ("gauge", "dead_deliveries", "dead", "Deliveries given up on, kept for a person."),
    ("gauge", "last_success_age_seconds", "last_success_seconds", "Seconds since the last delivery arrived."),
    ("counter", "circuit_breaker_trips", "trips", "How often the circuit breaker of the destination opened."),
)


def _of_destinations(destinations: list[dict[str, Any]]) -> Iterator[Series]:
    yield _by_priority("queue_depth", "Deliveries that wait or are in flight.", "queued", destinations)
    about = "Age in seconds of the oldest delivery that waits or is in flight; 0 without one."
    yield _by_priority("queue_age_seconds", about, "oldest_by_priority", destinations)
    conditions = [
        ((each["name"], word), float(each["condition"] == word)) for each in destinations for word in CONDITIONS
    ]
    about = "1 for the condition of the destination."
    yield Series("gauge", "tocsin_destination_condition", about, ("destination", "condition"), conditions)
    for kind, name, key, about in _PER_DESTINATION:
        rows = [((each["name"],), float(each[key])) for each in destinations if each[key] is not None]
        yield Series(kind, f"tocsin_{name}", about, ("destination",), rows)
    for name in destinations[0]["counters"] if destinations else ():
        rows = [((each["name"],), float(each["counters"][name])) for each in destinations]
        yield Series("counter", f"tocsin_{name}", _help_of(name), ("destination",), rows)


def _by_priority(name: str, about: str, key: str, destinations: list[dict[str, Any]]) -> Series:
    rows = [
        ((each["name"], priority), float(value or 0)) for each in destinations for priority, value in each[key].items()
    ]
    return Series("gauge", f"tocsin_{name}", about, ("destination", "priority"), rows)


def _of_limits(destinations: list[dict[str, Any]]) -> Iterator[Series]:
    for name, key, about in (
        ("limit_size", "count", "Requests that a limit permits in its period."),
        ("limit_left", "left", "Requests that are left of it."),
        ("limit_reserved", "kept", "Of these, reserved for URGENT and HIGH."),
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
        about = "Lines of the log that were dropped: the reader was too slow, or a write failed."
        yield Series("counter", "tocsin_log_lines_dropped", about, (), [((), float(log["dropped_lines"]))])
    yield _gauge("spool_files", "Files in the spool that are not imported yet.", spool.get("files"))
    yield _gauge(
        "spool_quarantined",
        "Files of the spool that could not be read and lie in the quarantine.",
        spool.get("quarantined"),
    )
    if expectations := status.get("expectations"):
        yield _gauge("expectations", "Programs whose heartbeats are expected.", expectations["expected"])
        late = [((name,), 1.0) for name in expectations["late"]]
        yield Series("gauge", "tocsin_expectation_late", "1 for a program that is late.", ("name",), late)
    if silences := status.get("silences"):
        yield _gauge("silences", "Silences in force.", silences["active"])
    for name, about in (
        ("beats", "Heartbeats that reached the monitor."),
        ("failures", "Heartbeats that did not reach the monitor."),
        ("withheld", "Heartbeats withheld because deliveries did not work."),
    ):
        if name in heartbeat:
            yield Series("counter", f"tocsin_heartbeat_{name}", about, (), [((), float(heartbeat[name]))])
    if heartbeat:
        yield _gauge(
            "heartbeat_age_seconds",
            "Seconds since a heartbeat last reached the monitor.",
            heartbeat["last_success_seconds"],
        )


_OF_LANE = (
    ("sends_here", "1 where this host sends for all."),
    ("hosts", "Hosts that share the destination and were seen of late, this one included."),
    ("handed_over", "Deliveries of this host that wait and that another host can send."),
    ("kept", "Deliveries of this host that wait and were not handed over."),
    ("taken", "Deliveries of other hosts that wait here."),
    ("in_doubt", "Deliveries that wait and were perhaps sent before."),
)


def _of_hosts(shared: Mapping[str, Any]) -> Iterator[Series]:
    """The engine that several hosts share, and who sends. A lane of several destinations has their names as one label."""
    if not shared:
        return
    away, lanes = shared["away_seconds"], shared["lanes"]
    yield _gauge("engine_up", "1 while the engine that several hosts share can be used.", away is None)
    yield _gauge("engine_away_seconds", "Seconds since it can no longer be used; 0 while it can.", away or 0.0)
    causes = [((shared["cause"],), 1.0)] if shared["cause"] else []
    yield Series("gauge", "tocsin_engine_trouble", "1 for the cause, while it cannot be used.", ("cause",), causes)
    yield _gauge("engine_complaints", "Settings of the engine that may lose what waits.", len(shared["complaints"]))
    holders = [((",".join(each["destinations"]), each["holder"]), 1.0) for each in lanes if each["holder"]]
    yield Series("gauge", "tocsin_lane_holder", "1 for the host that sends.", ("destination", "host"), holders)
    for name, about in _OF_LANE:
        rows = [((",".join(each["destinations"]),), _lane_number(each, name)) for each in lanes]
        yield Series("gauge", f"tocsin_lane_{name}", about, ("destination",), rows)


def _lane_number(lane: Mapping[str, Any], name: str) -> float:
    if name == "sends_here":
        return float(lane["here"])
    return float(lane["waiting"] - lane["handed_over"] if name == "kept" else lane[name])
