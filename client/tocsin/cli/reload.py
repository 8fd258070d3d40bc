"""`tocsin reload`: the daemon reads its configuration again, as at SIGHUP, and the answer says what came of it."""

from __future__ import annotations

from .output import counted, print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common

_PATIENCE = 30.0  # seconds: the daemon first imports what was written under the configuration before


def _arguments(parser: Parser) -> None:
    common(parser)


def _run(found: Found) -> int:
    with client(found) as daemon:
        reply = daemon.request("reload", timeout=max(found.timeout, _PATIENCE))
    if found.json:
        print_json({"schema": 1, **reply})
        return 0
    print_line(f"the configuration is in force, with {counted(reply.get('destinations', 0), 'destination')}")
    for each in [*(reply.get("restart") or []), *(reply.get("warnings") or [])]:
        print_note(str(each))
    return 0


VERBS = {
    "reload": Verb(
        _arguments,
        _run,
        "tocsin reload",
        "0 success, also when a part needs a restart; 64 usage error; 69 daemon unreachable; 75 temporary failure, try again later; "
        "76 protocol mismatch; 77 permission denied (only root and the daemon's user may); 78 the configuration has mistakes, and the one "
        "before it stays in force.",
    )
}
