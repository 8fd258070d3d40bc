"""`tocsin queue`: deliveries by state, in the order of sending."""

from __future__ import annotations

import time
from typing import Any

from .layout import table
from .output import format_age, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common, misread

STATES = ("queued", "sending", "sent", "unknown", "dead", "expired", "rerouted", "digested", "dropped", "silenced")
_HEAD = ("ID", "PRIORITY", "DESTINATION", "STATE", "SINCE", "TRIES", "TITLE", "WHY")


def _arguments(parser: Parser) -> None:
    parser.add_argument("--state", choices=STATES, help="only deliveries in this state (default: queued and sending)")
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
        now = time.time()
        for line in table(
            _HEAD, ([*_first_cells(row), format_age(now - row.get("since", now)), *_last_cells(row)] for row in rows)
        ):
            print_line(line)
    else:
        print_note("no deliveries")
    if more:
        print_note(f"there are more; use `--limit {found.limit * 10}`")
    return 0


def _first_cells(row: dict[str, Any]) -> list[Any]:
    return [row.get("id"), row.get("priority"), row.get("destination"), row.get("state")]


def _last_cells(row: dict[str, Any]) -> list[Any]:
    return [row.get("attempts"), row.get("title"), row.get("reason") or ""]


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
