"""Expectations: `expect`, `expected`."""

from __future__ import annotations

from typing import Any

from tocsin.durations import format_duration
from tocsin.signals import PRIORITIES

from .exit_codes import USAGE, Failure
from .layout import print_rows
from .output import format_age, print_json
from .parsing import Found, Parser, Verb, client, common, duration

_HEAD = ("NAME", "STATE", "LAST", "EVERY", "DUE", "PID", "UID", "MESSAGE")
_CAUSES = {"no beat": "no heartbeat", "left": "ended without a goodbye"}  # of an alarm
_EXITS = (
    "0 success; 64 usage error; 65 invalid, or not expected yet and without --every; 69 daemon unreachable; "
    "75 temporary failure, try again later; 76 protocol mismatch; 77 permission denied."
)


def _expect_arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the program's name; the alarm has it as its source")
    parser.add_argument(
        "--every", metavar="DURATION", type=duration, help="how often a heartbeat comes; required the first time"
    )
    parser.add_argument(
        "--grace", metavar="DURATION", type=duration, help="how much later is in time (default: a tenth, at most 1m)"
    )
    parser.add_argument("-p", "--priority", choices=PRIORITIES, help="the priority of the alarm (default: high)")
    parser.add_argument(
        "--to",
        metavar="DEST",
        action="append",
        help="send the alarm to this destination, not by the routes; may be repeated",
    )
    parser.add_argument(
        "--message", metavar="TEXT", help="the last words, if no other heartbeat follows; shown in the alarm"
    )
    parser.add_argument("--done", action="store_true", help="no longer expect it")
    common(parser)


def _expect(found: Found) -> int:
    """Prints nothing on success: a crontab would mail it."""
    settings = {name: getattr(found, name) for name in ("every", "grace", "priority", "to", "message")}
    if found.done and any(value is not None for value in settings.values()):
        raise Failure(USAGE, "usage", "--done takes no other option; see `tocsin expect --help`")
    with client(found) as daemon:
        if found.done:
            reply = daemon.request("goodbye", name=found.name, forget=True)
        else:
            reply = daemon.request("expect", name=found.name, **settings)
    if found.json:
        print_json({"schema": 1, **reply})
    return 0


def _expected(found: Found) -> int:
    with client(found) as daemon:
        rows = daemon.request("expected").get("expected") or []
    print_rows(rows, _HEAD, _row, key="expected", none="nothing is expected", as_json=found.json)
    return 0


def _row(each: dict[str, Any]) -> list[Any]:
    last, due = each.get("last_seconds"), each.get("due_seconds")
    cause = _CAUSES.get(str(each.get("cause")), each.get("cause"))
    state = f"{each.get('state')}: {cause}" if cause else each.get("state")
    return [
        each.get("name"),
        state,
        "never" if last is None else f"{format_age(last)} ago",
        format_duration(each.get("every") or 0),
        None if due is None else f"in {format_age(due)}",
        each.get("pid"),
        "alerts.toml" if each.get("configured") else each.get("uid"),
        each.get("message") or "",
    ]


VERBS = {
    "expect": Verb(
        _expect_arguments,
        _expect,
        """
tocsin expect backup --every 24h --grace 30m
tocsin expect backup --message "14 GB in 20 minutes"
tocsin expect backup --done
""",
        _EXITS,
    ),
    "expected": Verb(common, _expected, "tocsin expected\ntocsin expected --json | jq -r '.expected[].name'", _EXITS),
}
