"""`tocsin status`: the daemon's status, as text, JSON or Prometheus metrics."""

from __future__ import annotations

import os
from typing import Any

from tocsin import paths
from tocsin.attachments import FOLDER
from tocsin.durations import format_duration
from tocsin.errors import TocsinError
from tocsin.replies import items
from tocsin.spool import QUARANTINE

from .exit_codes import DEGRADED, FAILING, OK, USAGE, Failure, failure_of
from .output import by_priority, counted, format_age, paint, plain, print_json, print_line, table
from .parsing import Found, Parser, Verb, client, common

_OF_HEALTH = {"ok": OK, "degraded": DEGRADED, "failing": FAILING}
_COLOUR = {"ok": "green", "degraded": "yellow", "failing": "red"}


def _arguments(parser: Parser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit code tells the health")
    parser.add_argument(
        "--prometheus", action="store_true", help="print Prometheus metrics, for a scraper or the textfile collector"
    )
    common(parser)


def _run(found: Found) -> int:
    if found.prometheus and (found.json or found.quiet):
        other = "--json" if found.json else "-q"
        raise Failure(USAGE, "usage", f"--prometheus excludes {other}; see `tocsin status --help`")
    if found.prometheus:
        with client(found) as daemon:
            print_line(str(items(daemon.request("metrics"), "metrics").get("text")).rstrip("\n"))
        return OK
    try:
        with client(found) as daemon:
            status = daemon.status()
    except TocsinError as error:
        if found.quiet:
            return failure_of(error).code
        raise
    if found.quiet:
        return _OF_HEALTH.get(str(status.get("health")), FAILING)
    if found.json:
        print_json(status)
    else:
        for line in _lines(status, paths.spool_folder(socket=found.socket)):
            print_line(line)
    return OK


def _lines(status: dict[str, Any], our_spool: str) -> list[str]:
    health = str(status.get("health"))
    up = format_duration(round(status.get("uptime_seconds") or 0))
    return [
        f"tocsind {status.get('version')} is {paint(plain(health), _COLOUR.get(health))}, up {up}, pid {status.get('pid')}",
        *(f"  {paint('!', 'yellow')} {plain(problem)}" for problem in status.get("problems") or []),
        "",
        *_queue_lines(status.get("queue") or {}),
        *_spool_lines(status.get("spool") or {}, our_spool),
        *_silence_lines(status.get("silences") or {}),
        *_attachment_lines((status.get("storage") or {}).get("attachments") or {}),
        "",
        *_destination_lines(status.get("destinations") or []),
        *_missed_lines(status.get("destinations") or []),
        *_storage_lines(status.get("storage") or {}),
        *_limit_lines(status.get("destinations") or []),
    ]


def _queue_lines(queue: dict[str, Any]) -> list[str]:
    waiting = queue.get("by_priority") or {}
    line = by_priority(waiting)
    oldest = queue.get("oldest_seconds")
    return [f"queued  {line}" + (f"  (the oldest for {format_age(oldest)})" if oldest is not None else "")]


def _spool_lines(spool: dict[str, Any], own: str) -> list[str]:
    """The files in the daemon's spool; and those in this user's spool, when the daemon does not read that one."""
    lines = [f"spooled {counted(spool['files'], 'file')} to import"] if spool.get("files") else []
    try:
        waiting = sum(_waits(name) for name in os.listdir(own))  # noqa: PTH208 - as in paths
        is_unread = waiting and not os.path.samefile(own, str(spool.get("path")))  # noqa: PTH121 - as above
    except OSError:
        return lines
    if is_unread:
        what = f"{counted(waiting, 'file')} in {own}, which this daemon does not read: it reads {spool.get('path')}"
        lines.append(f"  {paint('!', 'yellow')} {plain(what)}; set $TOCSIN_SPOOL to it")
    return lines


def _silence_lines(silences: dict[str, Any]) -> list[str]:
    return [f"silent  {counted(silences['active'], 'silence')}: `tocsin silences`"] if silences.get("active") else []


def _waits(name: str) -> bool:
    return not name.startswith(".") and name not in (QUARANTINE, FOLDER)


def _attachment_lines(kept: dict[str, Any]) -> list[str]:
    if not kept.get("files"):
        return []
    share = f"{kept['bytes'] / 2**20:,.1f} of {kept['most_bytes'] / 2**20:,.0f} MiB"
    return [f"kept    {counted(kept['files'], 'attachment')}, {share}"]


def _destination_lines(destinations: list[dict[str, Any]]) -> list[str]:
    if not destinations:
        return ["no destinations"]
    return table(
        ("DESTINATION", "KIND", "CONDITION", "QUEUED", "SENT", "FAILED", "DEAD", "WHY"),
        (
            (
                each.get("name"),
                each.get("kind"),
                each.get("condition"),
                sum((each.get("queued") or {}).values()),
                each.get("sent"),
                each.get("failed"),
                each.get("dead"),
                _reason(each),
            )
            for each in destinations
        ),
    )


def _missed_lines(destinations: list[dict[str, Any]]) -> list[str]:
    """Deliveries that did not reach their own destination, within the retention of the journal."""
    lines = []
    for each in destinations:
        counts = {
            "went to a fallback": each.get("rerouted"),
            "expired and were never posted": each.get("expired"),
            "ended without a message, still to be reported": each.get("unreported"),
        }
        text = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        if text:
            lines.append(f"  {each.get('name')}: {text}")
    return lines


def _limit_lines(destinations: list[dict[str, Any]]) -> list[str]:
    """What is left of each limit, and what a LOW signal would wait for; signals of the other priorities wait for less."""
    rows = [row for each in destinations if (row := _limit_row(each))]
    return ["", *table(("DESTINATION", "LEFT OF EACH LIMIT", "NEXT LOW", "WAITS FOR"), rows)] if rows else []


def _limit_row(destination: dict[str, Any]) -> tuple[Any, ...] | None:
    limits = destination.get("limits") or {}
    windows = limits.get("windows")
    if not windows or destination.get("condition") == "disabled":
        return None
    seconds = (limits.get("ready_seconds") or {}).get("low")
    why = (limits.get("waits_for") or {}).get("low")
    return destination.get("name"), budget(windows), "unknown" if seconds is None else format_age(seconds), why


def budget(windows: list[dict[str, Any]]) -> str:
    """What is left of each limit, as `channel 12/30 (4 kept)`: 12 of 30 requests, 4 of them reserved for URGENT and HIGH."""
    return ", ".join(_window(window) for window in windows)


def _window(window: dict[str, Any]) -> str:
    kept = f" ({window['kept']} kept)" if window.get("kept") else ""
    return f"{window.get('name')} {window.get('left')}/{window.get('count')}{kept}"


def _reason(destination: dict[str, Any]) -> str:
    """Why the destination is not ready, and for how long; for a ready one, its last error."""
    until = destination.get("until_seconds")
    reason = destination.get("reason")
    if reason is None and destination.get("last_error"):
        reason = f"last error: {destination['last_error']}"
    failing = destination.get("failing_seconds")
    since = f" (failing for {format_age(failing)})" if failing else ""
    return (reason or "") + (f" (for {format_age(until)})" if until is not None else "") + since


def _storage_lines(storage: dict[str, Any]) -> list[str]:
    if storage.get("healthy", True):
        return []
    return ["", paint("storage is unhealthy: see the problems above", "red")]


VERBS = {
    "status": Verb(
        _arguments,
        _run,
        """
tocsin status
tocsin status --json | jq .queue.depth
tocsin status -q || logger -p daemon.err "tocsin is not healthy"
tocsin status --prometheus > /var/lib/node_exporter/tocsin.prom
""",
        "0 success; with -q: 0 ok, 1 degraded, 2 failing; 64 usage error; 69 daemon unreachable; 76 protocol mismatch; "
        "77 permission denied.",
    ),
}
