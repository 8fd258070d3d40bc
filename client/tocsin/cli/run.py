"""`tocsin run -- CMD`: run a command, and send a signal when it fails.

To its caller it behaves like the command: it exits with the command's exit code (128 + n after signal n), passes its output on byte for
byte, and passes signals on to it. In addition it sends one tocsin signal, with the last lines of output. An error in that changes nothing.

    job_name        what the command is called
    child_process   the command, and the signals for it
    output_tee      its output, and the last lines of it
"""

from __future__ import annotations

import os
from typing import Any

from tocsin.client import Client
from tocsin.durations import format_duration
from tocsin.errors import TocsinError
from tocsin.signals import Receipt

from .child_process import Child, Ending
from .exit_codes import USAGE, Failure
from .output import print_note
from .parsing import Found, Parser, Verb, duration, misread
from .send import await_outcome, given, signal_options, wait_option, with_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tocsin.expectation import Expectation

_LINES = 20  # fit a Discord message together with the rest
_MOST_LINES = 1000
_LONGEST_NAME = 64  # of an expectation
_TIMEOUT = 5.0  # seconds: the caller waits for a command anyway


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--on", choices=("failure", "always"), default="failure", help="when to send a signal (default: failure)"
    )
    parser.add_argument(
        "--expect",
        metavar="EVERY",
        type=duration,
        help="expect the next run within EVERY: an alarm when it does not start in time, or is killed together with `tocsin run`",
    )
    parser.add_argument("--title", metavar="TEXT", help="the title (default: the command and how it ended)")
    parser.add_argument("--body", metavar="TEXT", help="text before the last lines of output, such as what to do")
    parser.add_argument(
        "--lines", metavar="N", type=_count, default=_LINES, help=f"show the last N lines of output (default: {_LINES})"
    )
    signal_options(parser, priority="the priority (default: high on failure, low on success)")
    parser.add_argument("--strict", action="store_true", help="do not spool the signal when no daemon answers")
    wait_option(parser)
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=duration,
        default=_TIMEOUT,
        help="how long to wait for the daemon (default: 5s)",
    )
    parser.add_argument("command", metavar="-- CMD", nargs="*", help="the command and its arguments")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_LINES:
        raise misread(f"must be a whole number up to {_MOST_LINES}, not {text!r}")
    return int(text)


def _separated(words: list[str]) -> list[str]:
    """Requires `--`, which separates the options of `tocsin run` from the command's."""
    if "--" not in words and not {"-h", "--help"} & set(words):
        raise Failure(
            USAGE, "usage", "-- is required before the command: `tocsin run -- make test`; see `tocsin run --help`"
        )
    return with_wait(words)


def _run(found: Found) -> int:
    if not found.command:
        raise Failure(USAGE, "usage", "no command after --; see `tocsin run --help`")
    if found.body == "-":
        raise Failure(USAGE, "usage", "--body - is not possible: stdin belongs to the command; see `tocsin run --help`")
    _open_standard_streams()
    expectation = _expectation(found)
    ending = Child(found.command, found.lines).run()
    if expectation is not None:
        expectation.goodbye()
    if ending.error:
        print_note(ending.error)
    if ending.code or found.on == "always":
        _report(ending, found)
    return ending.code


def _open_standard_streams() -> None:
    """Give the descriptors 0, 1 and 2 to /dev/null where the caller has closed them: a pipe to the command must not get their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def _expectation(found: Found) -> Expectation | None:
    """The expectation that `--expect` asks for, by the base name of the command, after its first beat."""
    if found.expect is None:
        return None
    from tocsin.expectation import Expectation  # noqa: PLC0415 - few runs need it

    expectation = Expectation(
        found.command[0].rpartition("/")[2][:_LONGEST_NAME],
        found.expect,
        priority=found.priority,
        to=found.to,
        socket=found.socket,
    )
    expectation.beat()
    return expectation


def _report(ending: Ending, found: Found) -> None:
    title, values = _signal(ending, found)
    with Client(found.socket, timeout=found.timeout, spool=not found.strict) as client:
        receipt = client.send(title, **values)
        if receipt.state == "refused" and values["to"]:
            receipt = _sent_by_routes(client, receipt, title, values)
        if receipt.accepted and found.wait is not None:
            _await(receipt, found.wait, client)
    if not receipt.accepted:
        print_note(f"no signal was sent: {receipt.state}: {receipt.reason}")


def _await(receipt: Receipt, seconds: float, client: Client) -> None:
    try:
        await_outcome(receipt, seconds, client)
    except TocsinError as error:  # the exit code is the command's
        print_note(str(error))


def _sent_by_routes(client: Client, refused: Receipt, title: str, values: dict[str, Any]) -> Receipt:
    """The receipt of a second try without `to`: the command is over, so a misspelled destination must not cost the report."""
    print_note(f"{refused.reason}; the signal goes by the routes")
    return client.send(title, **{**values, "to": None, "id": None})


def _signal(ending: Ending, found: Found) -> tuple[str, dict[str, Any]]:
    """The title and the other fields."""
    from tocsin.origin import started_by  # noqa: PLC0415 - most commands end well, and nothing is reported

    from .job_name import job_name  # noqa: PLC0415 - as above

    name, origin = job_name(found.command), started_by()
    duration = format_duration(ending.seconds)
    facts: dict[str, Any] = {"exit code": ending.code}
    if not ending.error:  # what did not start took no time
        facts["duration"] = duration
    if origin:
        facts["started by"] = origin
    values = given(found)
    values["fields"] = facts | (values["fields"] or {})
    values["priority"] = values["priority"] or ("high" if ending.code else "low")
    values["source"] = values["source"] or name
    values["host"] = values["host"] or os.uname().nodename
    values["code"] = found.code or found.format in {None, "code"} or None
    values["body"] = "\n\n".join(text for text in (found.body, ending.error or ending.tail) if text) or None
    return found.title or f"{name} {ending.words}" + ("" if ending.error else f" after {duration}"), values


VERBS = {
    "run": Verb(
        _arguments,
        _run,
        """
tocsin run -- pg_dump -f /backup/db.sql db
tocsin run --expect 24h -- /usr/local/bin/backup
tocsin run --on always --title "Nightly backup" -- /usr/local/bin/backup
tocsin run --field database=orders --link https://wiki.example/restore -- sh -c 'pg_dump orders | gzip > orders.gz'
0 3 * * *  tocsin run -p urgent -- /usr/local/bin/backup     (in a crontab)
""",
        "the command's; 128 + n when signal n ended it; 126 command cannot be run; 127 command not found; 64 usage error.",
        prepare=_separated,
    ),
}
