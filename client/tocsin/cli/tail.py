"""`tocsin tail`: events, one a line."""

from __future__ import annotations

from typing import Any

from tocsin.errors import Unreachable

from .output import format_time, paint, plain, print_json
from .parsing import Found, Parser, Verb, client, common

_COLOUR = {"warning": "yellow", "error": "red", "debug": "dim"}
_HEAD = ("event", "at", "level")


def _arguments(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="print new events as they happen")
    common(parser)


def _run(found: Found) -> int:
    with client(found) as daemon:
        idle = None if found.follow else found.timeout
        for reply in daemon.stream("tail", idle=idle, follow=found.follow):
            event = reply.get("event") or {}
            if found.json:
                print_json({"schema": 1, **event}, now=found.follow)
            else:
                print(_line(event), flush=found.follow)
    if found.follow:
        raise Unreachable("the daemon closed the connection; run `tocsin tail -f` again after it has restarted")
    return 0


def _line(event: dict[str, Any]) -> str:
    level, name = plain(event.get("level", "")), plain(event.get("event"))
    rest = {key: value for key, value in event.items() if key not in _HEAD and value is not None}
    fields = " ".join(f"{key}={_value(value)}" for key, value in rest.items())
    return f"{format_time(event.get('at') or 0)}  {paint(f'{level:<7}', _COLOUR.get(level))}  {name:<13}  {fields}".rstrip()


def _value(value: Any) -> str:
    text = plain(",".join(map(str, value)) if isinstance(value, list) else value)
    return f'"{text}"' if " " in text or not text else text


VERBS = {
    "tail": Verb(
        _arguments,
        _run,
        """
tocsin tail
tocsin tail -f
tocsin tail -f --json | jq 'select(.event == "dead")'
""",
        "0 success; 64 usage error; 69 daemon unreachable, or it closed the connection; 76 protocol mismatch; 77 permission denied; "
        "130 interrupted.",
    ),
}
