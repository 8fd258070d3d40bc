"""`tocsin tail`: events, one a line."""

from __future__ import annotations

import time

from tocsin.errors import Unreachable

from .layout import NO_LIMIT, columns
from .output import print_json
from .parsing import Found, Parser, Verb, client, common, misread
from .tail_lines import event_lines

_DIGITS = 9


def _arguments(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="print new events as they happen")
    parser.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=_number,
        help="show the last N events (default: all that the daemon keeps, up to 1,000)",
    )
    common(parser)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise misread(f"must be a whole number of at most {_DIGITS} digits, not {text!r}")
    return int(text)


def _run(found: Found) -> int:
    width = columns(piped=NO_LIMIT)
    with client(found) as daemon:
        idle = None if found.follow else found.timeout
        asked = {} if found.lines is None else {"last": found.lines}
        for reply in daemon.stream("tail", idle=idle, follow=found.follow, **asked):
            event = reply.get("event") or {}
            if found.json:
                print_json({"schema": 1, **event}, now=found.follow)
            else:
                print("\n".join(event_lines(event, time.time(), width)), flush=found.follow)
    if found.follow:
        raise Unreachable("the daemon closed the connection; run `tocsin tail -f` again after it has restarted")
    return 0


VERBS = {
    "tail": Verb(
        _arguments,
        _run,
        """
tocsin tail
tocsin tail -f -n 20
tocsin tail -f --json | jq 'select(.event == "dead")'
""",
        "0 success; 64 usage error; 69 daemon unreachable, or it closed the connection; 76 protocol mismatch; 77 permission denied; "
        "130 interrupted.",
    ),
}
