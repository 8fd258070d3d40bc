"""`tocsin ack ID|KEY`: end the repetitions of an alert."""

from __future__ import annotations

from .output import counted, plain, print_json, print_line
from .parsing import Found, Parser, Verb, client, common


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "name", metavar="ID|KEY", help="the id of a signal, or a key: that covers its story until it ends"
    )
    common(parser)


def _run(found: Found) -> int:
    with client(found) as daemon:
        reply = daemon.acknowledge(found.name)
    if found.json:
        print_json({"schema": 1, **reply})
        return 0
    what = f"the story of {plain(reply['key'])}" if reply.get("key") else plain(reply.get("id"))
    stopped = reply.get("stopped") or 0
    ended = f": ended {counted(stopped, 'repetition')}" if stopped else "; nothing was being repeated"
    print_line(f"acknowledged {what}{ended}")
    return 0


VERBS = {
    "ack": Verb(
        _arguments,
        _run,
        """
tocsin ack 01J9Z3NDEKTSV4RRFFQ69G5FAV
tocsin ack trade-123
""",
        "0 success; 64 usage error; 65 unknown id or key; 69 daemon unreachable; 75 temporary failure, try again later; "
        "76 protocol mismatch; 77 permission denied.",
    ),
}
