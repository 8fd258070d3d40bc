"""Operator commands: `retry`, `drop`, `enable`."""

from __future__ import annotations

from typing import Any

from .exit_codes import USAGE, Failure
from .output import counted, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common
from .why import ID_HELP, whole_id

_EXITS = (
    "0 success; 64 usage error; 65 unknown signal or destination, or another host accepted it; 69 daemon unreachable; "
    "75 temporary failure, try again later; 76 protocol mismatch; 77 permission denied."
)


def _retry_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="requeue the dead deliveries of this signal")
    parser.add_argument("--all", action="store_true", help="requeue all dead deliveries")
    parser.add_argument("--destination", metavar="DEST", help="with --all: only those for this destination")
    common(parser)


def _retry(found: Found) -> int:
    if (found.id is None) is not found.all:
        raise Failure(USAGE, "usage", "either ID or --all is required; see `tocsin retry --help`")
    if found.destination and not found.all:
        raise Failure(USAGE, "usage", "--destination requires --all; see `tocsin retry --help`")
    reply = _asked(found, "retry", all=found.all or None, destination=found.destination)
    return _print_result(found, reply, f"{counted(reply.get('deliveries', 0), 'delivery')} requeued")


def _id_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help=ID_HELP)
    common(parser)


def _drop(found: Found) -> int:
    reply = _asked(found, "drop")
    return _print_result(found, reply, f"{counted(reply.get('deliveries', 0), 'delivery')} dropped")


def _destination_arguments(parser: Parser) -> None:
    parser.add_argument("destination", metavar="DESTINATION", help="a destination of alerts.toml")
    common(parser)


def _enable(found: Found) -> int:
    reply = _asked(found, "enable", destination=found.destination)
    return _print_result(found, reply, f"{reply.get('destination', found.destination)} is in service again")


def _asked(found: Found, op: str, **fields: Any) -> dict[str, Any]:
    with client(found) as daemon:
        if getattr(found, "id", None) is not None:
            fields["id"] = whole_id(daemon, found.id)
        return daemon.request(op, **fields)


def _print_result(found: Found, reply: dict[str, Any], sentence: str) -> int:
    if found.json:
        print_json({"schema": 1, **reply})
    else:
        print_line(sentence)
        if reply.get("note"):
            print_note(reply["note"])
    return 0


VERBS = {
    "retry": Verb(
        _retry_arguments,
        _retry,
        """
tocsin retry 01J9Z3NDEKTSV4RRFFQ69G5FAV
tocsin retry --all --destination signals-premium
""",
        _EXITS,
    ),
    "drop": Verb(_id_arguments, _drop, "tocsin drop 01J9Z3NDEKTSV4RRFFQ69G5FAV", _EXITS),
    "enable": Verb(_destination_arguments, _enable, "tocsin enable signals-premium", _EXITS),
}
