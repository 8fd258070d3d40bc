"""`tocsin ack ID|KEY`: end the repetitions of an alert."""

from __future__ import annotations

from typing import Any

from tocsin.client import Client
from tocsin.errors import RequestFailed

from .exit_codes import Failure
from .output import counted, plain, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common
from .why import whole_id


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="ID|KEY", help="the id of a signal or its end, or a key: that covers its story until it ends"
    )
    common(parser)


def _run(found: Found) -> int:
    with client(found) as daemon:
        reply = _acknowledge(daemon, found.name)
    if found.json:
        print_json({"schema": 1, **reply})
        return 0
    what = f"the story of {plain(reply['key'])}" if reply.get("key") else plain(reply.get("id"))
    stopped = reply.get("stopped") or 0
    ended = f": ended {counted(stopped, 'repetition')}" if stopped else "; nothing was being repeated"
    print_line(f"acknowledged {what}{ended}")
    if reply.get("note"):
        print_note(reply["note"])
    return 0


def _acknowledge(daemon: Client, name: str) -> dict[str, Any]:
    """By id or key; else by the end of an id, as messages show it. Raises the client's exceptions."""
    try:
        return daemon.acknowledge(name)
    except RequestFailed as unknown:
        if unknown.kind != "not-found":
            raise
        try:
            id_ = whole_id(daemon, name)
        except (RequestFailed, Failure):
            raise unknown from None
        if id_ == name:
            raise
        return daemon.acknowledge(id_)


VERBS = {
    "ack": Verb(
        _arguments,
        _run,
        """
tocsin ack 01J9Z3NDEKTSV4RRFFQ69G5FAV
tocsin ack trade-123
""",
        "0 success; 64 usage error; 65 unknown id or key, or another host accepted it; 69 daemon unreachable; "
        "75 temporary failure, try again later; 76 protocol mismatch; 77 permission denied.",
    ),
}
