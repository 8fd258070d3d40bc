"""`tocsin run -- CMD`: run a command, and tell how it ended.

To whoever calls it, it is the command: its exit code (128 + n for one that signal n ended), its output, byte for byte and as it comes, and
its signals. What is added is one signal of ours, with the last lines, and whatever may go wrong with that changes nothing.

    child       the command, and the signals for it
    streams     its output, on its way to ours, and the last lines of it
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

_LINES = 20  # what fits a Discord message along with the rest
_MOST_LINES = 1000
_PLAIN = frozenset(string.ascii_letters + string.digits + "._-/")
_TIMEOUT = 5.0  # seconds: whoever waits for the command can wait so long for the word of it


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--on", choices=("failure", "always"), default="failure", help="when to tell (default: failure)"
    )
    parser.add_argument("--title", metavar="TEXT", help="instead of the command and how it ended")
    parser.add_argument("-p", "--priority", choices=PRIORITIES, help="default: high on failure, low on success")
    parser.add_argument(
        "--lines", metavar="N", type=_count, default=_LINES, help=f"last lines to show (default: {_LINES})"
    )
    parser.add_argument("--tier", metavar="T", help="for the routes")
    parser.add_argument("--key", metavar="K", help="signals with one key share a message, edited in place (Discord)")
    parser.add_argument("--tag", metavar="T", action="append", help="may be repeated")
    parser.add_argument("--to", metavar="DEST", action="append", help="a destination, past the routes; may be repeated")
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    parser.add_argument(
        "--timeout", metavar="DURATION", type=duration, default=_TIMEOUT, help="for the hand-off (default: 5s)"
    )
    parser.add_argument("command", metavar="-- CMD", nargs="*", help="the command and its arguments")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_LINES:
        raise misread(f"{text!r} is no whole number up to {_MOST_LINES}")
    return int(text)


def _separated(words: list[str]) -> list[str]:
    """Without the two dashes it would be a guess which words are ours and which the command's."""
    if "--" not in words and not {"-h", "--help"} & set(words):
        raise Failure(USAGE, "usage", "put -- before the command: `tocsin run -- make test`; see `tocsin run --help`")
    return words


def _run(found: Found) -> int:
    if not found.command:
        raise Failure(USAGE, "usage", "there is no command behind the --; see `tocsin run --help`")
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
        print_note(f"nobody could be told: {receipt.state}: {receipt.reason}")


def _name(command: list[str]) -> str:
    """What people call it: `make backup`. No options and nothing that could hold a password: a channel has many readers."""
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
        "the command's own; 128 + n when signal n ended it; 126 when it cannot be run; 127 when there is no such command; 64 usage.",
        prepare=_separated,
    ),
}
