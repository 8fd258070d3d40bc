"""`tocsin run -- CMD`: run a command, and send a signal when it fails.

To its caller it behaves like the command: it exits with the command's exit code (128 + n after signal n), passes its output on byte for
byte, and passes signals on to it. In addition it sends one tocsin signal, with the last lines of output. An error in that changes nothing.

    child_process   the command, and the signals for it
    output_tee      its output, and the last lines of it
"""

from __future__ import annotations

import os
import string
from itertools import takewhile

from tocsin.client import Client
from tocsin.durations import format_duration
from tocsin.signals import PRIORITIES

from .child_process import Child, Ending
from .exit_codes import USAGE, Failure
from .output import print_note
from .parsing import Found, Parser, Verb, duration, misread

_LINES = 20  # fit a Discord message together with the rest
_MOST_LINES = 1000
_PLAIN = frozenset(string.ascii_letters + string.digits + "._-/")
_TIMEOUT = 5.0  # seconds: the caller waits for a command anyway


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--on", choices=("failure", "always"), default="failure", help="when to send a signal (default: failure)"
    )
    parser.add_argument("--title", metavar="TEXT", help="the title (default: the command and how it ended)")
    parser.add_argument(
        "-p", "--priority", choices=PRIORITIES, help="the priority (default: high on failure, low on success)"
    )
    parser.add_argument(
        "--lines", metavar="N", type=_count, default=_LINES, help=f"show the last N lines of output (default: {_LINES})"
    )
    parser.add_argument("--tier", metavar="T", help="the tier, for routing")
    parser.add_argument(
        "--key", metavar="K", help="signals with the same key share one message, edited in place (Discord)"
    )
    parser.add_argument("--tag", metavar="T", action="append", help="add a tag; may be repeated")
    parser.add_argument(
        "--to", metavar="DEST", action="append", help="send to this destination, not by the routes; may be repeated"
    )
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
    return words


def _run(found: Found) -> int:
    if not found.command:
        raise Failure(USAGE, "usage", "no command after --; see `tocsin run --help`")
    ending = Child(found.command, found.lines).run()
    if ending.error:
        print_note(ending.error)
    if ending.code or found.on == "always":
        _report(ending, found)
    return ending.code


def _report(ending: Ending, found: Found) -> None:
    failed = ending.code != 0
    name = _name(found.command)
    with Client(found.socket, timeout=found.timeout) as client:
        receipt = client.send(
            found.title or f"{name} {ending.words} after {format_duration(ending.seconds)}",
            body=ending.error or ending.tail or None,
            priority=found.priority or ("high" if failed else "low"),
            tier=found.tier,
            key=found.key,
            tags=found.tag,
            to=found.to,
            source=name,
            host=os.uname().nodename,
            code=True,
            fields={"exit code": ending.code, "duration": format_duration(ending.seconds)},
        )
    if not receipt.accepted:
        print_note(f"no signal was sent: {receipt.state}: {receipt.reason}")


def _name(command: list[str]) -> str:
    """The command without options, as `make backup`, and without arguments that could hold a password: a channel has many readers."""
    program, *words = command[0].rpartition("/")[2], *command[1:]
    plain = takewhile(lambda word: word[:1] != "-" and set(word) <= _PLAIN, words)
    return " ".join((program, *plain))[:100]


VERBS = {
    "run": Verb(
        _arguments,
        _run,
        """
tocsin run -- pg_dump -f /backup/db.sql db
tocsin run --on always --title "Nightly backup" -- /usr/local/bin/backup
0 3 * * *  tocsin run -p urgent -- /usr/local/bin/backup     (in a crontab)
""",
        "the command's; 128 + n when signal n ended it; 126 command cannot be run; 127 command not found; 64 usage error.",
        prepare=_separated,
    ),
}
