"""`tocsin queue`: deliveries by state, in the order of sending."""

from __future__ import annotations

import time
from typing import Any

from .layout import NO_LIMIT, columns, table
from .output import format_age, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common, misread

STATES = (
    "held",
    "queued",
    "sending",
    "sent",
    "unknown",
    "dead",
    "expired",
    "rerouted",
    "digested",
    "dropped",
    "silenced",
    "superseded",
)
_SHORT = (0, 1, 3, 4, 5)  # the columns of _HEAD on a narrow terminal
_HEAD = ("ID", "PRIORITY", "DESTINATION", "STATE", "SINCE", "TRIES", "TITLE", "WHY")


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--state", choices=STATES, help="only deliveries in this state (default: held, queued, sending and dead)"
    )
    parser.add_argument("--destination", metavar="DEST", help="only deliveries for this destination")
    parser.add_argument("--limit", metavar="N", type=count, default=100, help="show at most N (default: 100)")
    common(parser)


def count(text: str) -> int:
    """A positive whole number, as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise misread(f"must be a positive whole number, not {text!r}")
    return int(text)


def _run(found: Found) -> int:
    with client(found) as daemon:
        reply = daemon.request("queue", state=found.state, destination=found.destination, limit=found.limit)
    rows, more = reply.get("deliveries") or [], bool(reply.get("more"))
    if found.json:
        print_json({"schema": 1, "ok": True, "deliveries": rows, "more": more})
        return 0
    if rows:
        for line in queue_lines(rows, time.time(), columns(piped=NO_LIMIT)):
            print_line(line)
    else:
        print_note("no deliveries")
    if more:
        print_note(f"there are more; use `--limit {found.limit * 10}`")
    return 0


def queue_lines(rows: list[dict[str, Any]], now: float, width: int) -> list[str]:
    """A table; where a terminal is too narrow for it, title, destination and reason stand beneath each delivery."""
    lines = table(_HEAD, [_cells(row, now) for row in rows])
    if all(len(line) <= width for line in lines):
        return lines
    short = [[cell for at, cell in enumerate(_cells(row, now)) if at in _SHORT] for row in rows]
    return table([_HEAD[at] for at in _SHORT], short, width, [_beneath(row) for row in rows])


def _cells(row: dict[str, Any], now: float) -> list[Any]:
    age = format_age(now - row.get("since", now))
    first, last = ("id", "priority", "destination", "state"), ("attempts", "title")
    return [*map(row.get, first), age, *map(row.get, last), row.get("reason") or ""]


def _beneath(row: dict[str, Any]) -> str:
    title, destination, why = row.get("title"), str(row.get("destination")), row.get("reason") or ""
    about = why if why.startswith(destination) else f"{destination}{': ' if why else ''}{why}"
    return f"{title} -> {about}"


VERBS = {
    "queue": Verb(
        _arguments,
        _run,
        """
tocsin queue
tocsin queue --state dead --destination signals-premium
tocsin queue --json | jq -r '.deliveries[].id'
""",
        "0 success, also with no deliveries; 64 usage error; 69 daemon unreachable; 76 protocol mismatch; 77 permission denied.",
    ),
}
