"""`tocsin top`: a live view of destinations and queues; `tocsin.top` describes its parts."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from typing import Any

from tocsin.client import Client
from tocsin.top.lines import block
from tocsin.top.screens import Picture, Screen, Want
from tocsin.top.source import PATIENCE, Source

from .exit_codes import UNREACHABLE, Failure
from .output import print_json, print_line, print_note
from .parsing import Found, Parser, Verb, common, duration
from .queue import count
from .why import story_lines


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--interval", metavar="DURATION", type=duration, default=1.0, help="between two updates (default: 1s)"
    )
    parser.add_argument("--count", metavar="N", type=count, help="exit after N updates; implies --plain")
    parser.add_argument("--plain", action="store_true", help="print lines instead of drawing a screen")
    common(parser)


def _run(found: Found) -> int:
    with Client(found.socket, timeout=min(found.timeout, PATIENCE), strict=True) as daemon:
        daemon.status()  # an unreachable daemon is an error at the start; later `top` waits for it
        source = Source(daemon, story_lines)
        if found.json or found.count or found.plain or not _can_draw():
            _print(found, source)
        else:
            from tocsin.top.full_screen import show  # noqa: PLC0415 - rich is an optional dependency

            show(source, found.interval)
    return 0


def _can_draw() -> bool:
    """Whether there is a terminal, and rich; prints a note where rich is missing."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    if find_spec("rich") is None:
        print_note("printing plain lines, because rich is not installed; install it with `pip install 'tocsin[top]'`")
        return False
    return True


def _print(found: Found, source: Source) -> None:
    updates = 0
    while True:
        picture = source.look(Want(Screen.LANES))
        if found.json:
            print_json(_object(picture), now=True)
        else:
            for line in block(picture, time.strftime("%H:%M:%S")):
                print_line(line)
            sys.stdout.flush()
        updates += 1
        if updates == found.count:
            return
        time.sleep(found.interval)


def _object(picture: Picture) -> dict[str, Any]:
    if picture.trouble is None:
        return dict(picture.status)
    return Failure(UNREACHABLE, "unreachable", picture.trouble).as_json()


VERBS = {
    "top": Verb(
        _arguments,
        _run,
        """
tocsin top
tocsin top --interval 5s --plain | tee -a top.log
tocsin top --count 1 --json | jq .queue
""",
        "0 success; 64 usage error; 69 daemon unreachable at the start; 76 protocol mismatch; 77 permission denied; 130 interrupted.",
    ),
}
