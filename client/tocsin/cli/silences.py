"""Silences: `silence`, `silences`, `unsilence`."""

from __future__ import annotations

from typing import Any

from tocsin.durations import format_duration

from .exit_codes import USAGE, Failure
from .layout import print_rows
from .output import counted, format_age, format_time, plain, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common, duration, misread

KEYS = ("tier", "priority", "strategy", "symbol", "action", "source", "key", "tag")
_HEAD = ("ID", "LEFT", "UID", "SIGNALS", "SILENCES", "REASON")
_WITH_VALUE = ("--for", "--reason", "--socket", "--timeout")
_EXITS = (
    "0 success; 64 usage error; 65 unknown silence; 69 daemon unreachable; 75 temporary failure, try again later; 76 protocol mismatch; "
    "77 permission denied."
)


def _silence_arguments(parser: Parser) -> None:
    parser.add_argument(
        "when",
        metavar="KEY=VALUE",
        nargs="+",
        type=_pair,
        help=f"a key of a route ({', '.join(KEYS)}) and its value; a signal must match all of them",
    )
    parser.add_argument(
        "--for", metavar="DURATION", dest="seconds", type=_positive, help="how long, as 30m or 2h; required"
    )
    parser.add_argument(
        "--reason", metavar="TEXT", help="why; shown in the list, by `tocsin why` and in the report of its end"
    )
    common(parser)


def _pairs_first(words: list[str]) -> list[str]:
    """The same words with all KEY=VALUE before the options: argparse takes them from one place only."""
    pairs: list[str] = []
    options: list[str] = []
    left = iter(words)
    for word in left:
        (options if word.startswith("-") else pairs).append(word)
        if word in _WITH_VALUE:
            options += [value for value in [next(left, None)] if value is not None]
    return [*pairs, *options]


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not value:
        raise misread(f"must be KEY=VALUE, not {text!r}")
    if key not in KEYS:
        raise misread(f"unknown key {key!r}; known here: {', '.join(KEYS)}")
    return key, value


def _positive(text: str) -> float:
    seconds = duration(text)
    if seconds <= 0:
        raise misread("must be longer than no time")
    return seconds


def _silence(found: Found) -> int:
    if found.seconds is None:
        raise Failure(USAGE, "usage", "--for DURATION is required; see `tocsin silence --help`")
    with client(found) as daemon:
        reply = daemon.request("silence", when=found.when, seconds=found.seconds, reason=found.reason)
    made = reply.get("silence") or {}
    if found.json:
        print_json({"schema": 1, "ok": True, "id": made.get("id"), "silence": made})
        return 0
    print_line(str(made.get("id")))
    print_note(
        f"{_written(made)} is silenced until {format_time(made['until'])[:19]}; `tocsin unsilence {made['id']}` ends it"
    )
    return 0


def _silences(found: Found) -> int:
    with client(found) as daemon:
        rows = daemon.request("silences").get("silences") or []
    print_rows(rows, _HEAD, _row, key="silences", none="nothing is silenced", as_json=found.json)
    return 0


def _row(silence: dict[str, Any]) -> list[Any]:
    left = format_age(round(silence.get("left_seconds") or 0))
    reason = silence.get("reason") or ""
    return [silence.get("id"), left, silence.get("uid"), silence.get("signals"), _written(silence), reason]


def _written(silence: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in silence.get("when") or [])


def _unsilence_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the silence's id, as `tocsin silences` lists it")
    common(parser)


def _unsilence(found: Found) -> int:
    with client(found) as daemon:
        reply = daemon.request("unsilence", id=found.id.upper())
    ended = reply.get("silence") or {}
    if found.json:
        print_json({"schema": 1, "ok": True, "id": ended.get("id"), "silence": ended})
        return 0
    lasted = format_duration(
        max(1, round((ended.get("until") or 0) - (ended.get("since") or 0) - ended.get("left_seconds", 0)))
    )
    print_line(
        f"{plain(_written(ended))} is no longer silenced; {counted(ended.get('signals', 0), 'signal')} in {lasted}"
    )
    return 0


VERBS = {
    "silence": Verb(
        _silence_arguments,
        _silence,
        """
tocsin silence symbol=BTCUSDT --for 2h --reason "exchange maintenance"
tocsin silence strategy=ma tier=free --for 30m
""",
        _EXITS,
        prepare=_pairs_first,
    ),
    "silences": Verb(common, _silences, "tocsin silences\ntocsin silences --json | jq -r '.silences[].id'", _EXITS),
    "unsilence": Verb(_unsilence_arguments, _unsilence, "tocsin unsilence 01J9Z3NDEKTSV4RRFFQ69G5FAV", _EXITS),
}
