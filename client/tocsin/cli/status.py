"""`tocsin status`: the daemon's status, as text, JSON or Prometheus metrics."""

from __future__ import annotations

from tocsin import paths
from tocsin.errors import TocsinError
from tocsin.replies import items

from .exit_codes import DEGRADED, FAILING, OK, USAGE, Failure, failure_of_question
from .layout import columns
from .output import print_json, print_line
from .parsing import Found, Parser, Verb, client, common
from .shared_lines import host_lines, is_current
from .status_lines import spooled_note, status_lines

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from typing import Any

_OF_HEALTH = {"ok": OK, "degraded": DEGRADED, "failing": FAILING}


def _arguments(parser: Parser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit code tells the health")
    parser.add_argument(
        "--prometheus", action="store_true", help="print Prometheus metrics, for a scraper or the textfile collector"
    )
    parser.add_argument(
        "--all-hosts", action="store_true", help="one line for each host that shares channels with this one ([shared])"
    )
    common(parser)


def _run(found: Found) -> int:
    if found.prometheus and (found.json or found.quiet or found.all_hosts):
        other = "--json" if found.json else "-q" if found.quiet else "--all-hosts"
        raise Failure(USAGE, "usage", f"--prometheus excludes {other}; see `tocsin status --help`")
    if found.prometheus:
        with client(found) as daemon:
            print_line(str(items(daemon.request("metrics"), "metrics").get("text")).rstrip("\n"))
        return OK
    try:
        with client(found) as daemon:
            if found.all_hosts:
                return _all_hosts(found, items(daemon.request("hosts"), "hosts"))
            status = daemon.status()
    except TocsinError as error:
        failure = failure_of_question(error)
        if found.quiet:
            return failure.code
        failure.message += spooled_note(paths.spool_folder(socket=found.socket))
        raise failure from error
    if found.quiet:
        return _OF_HEALTH.get(str(status.get("health")), FAILING)
    if found.json:
        print_json(status)
    else:
        for line in status_lines(status, paths.spool_folder(socket=found.socket), columns()):
            print_line(line)
    return OK


def _all_hosts(found: Found, answer: dict[str, Any]) -> int:
    hosts = answer.get("hosts") or []
    if found.quiet:
        return max([*map(_code_of, hosts), OK if is_current(answer) else DEGRADED])
    if found.json:
        print_json({"ok": True, **answer})
    else:
        for line in host_lines(answer, columns()):
            print_line(line)
    return OK


def _code_of(host: dict[str, Any]) -> int:
    """A host that stopped as it should is well; an absent one is worth a look."""
    if host.get("state") != "present":
        return OK if host.get("state") == "stopped" else DEGRADED
    return _OF_HEALTH.get(str(host.get("health")), FAILING)


VERBS = {
    "status": Verb(
        _arguments,
        _run,
        """
tocsin status
tocsin status --json | jq .queue.depth
tocsin status --all-hosts
tocsin status -q || logger -p daemon.err "tocsin is not healthy"
tocsin status --prometheus > /var/lib/node_exporter/tocsin.prom
""",
        "0 success; with -q: 0 ok, 1 degraded, 2 failing; 64 usage error; 69 daemon unreachable; 76 protocol mismatch; "
        "77 permission denied; 78 --all-hosts without [shared].",
    ),
}
