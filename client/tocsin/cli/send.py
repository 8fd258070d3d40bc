"""`tocsin send`: one signal from flags, or from stdin. Many, one a line, are next door in `lines`.

Without a daemon the signal goes to the spool, which is as good as far as a script is concerned: 0, and a note on stderr. With --strict,
or where the spool does not take it either, the exit code says why no daemon took it.
"""

from __future__ import annotations

import sys
import time

from tocsin.client import Client
from tocsin.durations import format_duration, parse_duration
from tocsin.errors import RequestFailed, TocsinError, Unreachable
from tocsin.replies import receipt_of
from tocsin.signals import PRIORITIES, Receipt, Signal

from .exit_codes import BAD_DATA, DEAD, DROPPED, OK, STILL_QUEUED, TRY_LATER, USAGE, Failure, failure_of
from .output import print_json, print_line, print_note
from .parsing import Found, Parser, Verb, client, common, duration, misread
from .stdin import read_stdin

_DEFAULT_WAIT = "30s"
_TEXTS = ("tier", "strategy", "symbol", "action", "key", "expires", "timestamp", "link", "source", "host", "id")
_NUMBERS = ("confidence", "price")
_OUTCOMES = {"delivered": OK, "queued": STILL_QUEUED, "dead": DEAD, "dropped": DROPPED}
_LATE = 0.5  # seconds that the daemon's answer may be late before we say that nobody knows
_BODY = 4096  # characters that a body holds
_CUT = (
    "…"  # at its beginning: the end is what counts, and whoever shows it cuts the beginning again (tocsin.handler, too)
)
_CHUNK = 64 * 1024  # bytes of stdin that are held at each end, more than a body's characters take
_RECONNECT_SECONDS = 0.2  # between two looks for a daemon that restarts while somebody waits


def arguments(parser: Parser) -> None:
    """The words that describe one signal."""
    parser.facts = {"id": None, "state": "refused"}
    parser.add_argument(
        "title", metavar="TITLE", nargs="?", help="without it, stdin: its first line is the title, the rest the body"
    )
    parser.add_argument("--body", metavar="TEXT", help="`-` reads it from stdin, and keeps the end of what is too long")
    parser.add_argument("-p", "--priority", metavar="P", help=", ".join(PRIORITIES))
    for name in (*_TEXTS, *_NUMBERS):
        parser.add_argument(f"--{name}", metavar=name[0].upper(), help=_HELP.get(name))
    parser.add_argument("--code", action="store_true", help="the body is output of a program: shown in a code block")
    parser.add_argument("--field", metavar="K=V", action="append", type=_pair, help="a field to show; may be repeated")
    parser.add_argument("--attach", metavar="PATH", help="a file to go along, an image is shown: up to 8 MiB")
    parser.add_argument("--tag", metavar="T", action="append", help="may be repeated")
    parser.add_argument("--to", metavar="DEST", action="append", help="a destination, past the routes; may be repeated")
    parser.add_argument(
        "--strict", action="store_true", help="nothing goes to the spool: leave with 69 when no daemon took it"
    )
    parser.add_argument(
        "--wait", metavar="DURATION", type=duration, help="until it is delivered, or so long (default: 30s)"
    )
    parser.add_argument("--json-lines", metavar="FILE", help="one signal a line, as JSON objects; `-` is stdin")
    common(parser)


_HELP = {
    "confidence": "0 to 1; decides the priority when none is given",
    "expires": "never to be posted as live after so long: 90s, 5m",
    "key": "signals with one key share a message, edited in place (Discord)",
    "timestamp": "when it happened, in any usual form; one without a zone is UTC",
    "id": "a ULID to send it under; the same one twice is stored once",
}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise misread(f"{text!r} is not K=V")
    return name, value


def with_wait(words: list[str]) -> list[str]:
    """A bare --wait gets its default here: argparse would take the title that follows for its duration."""
    end = words.index("--") if "--" in words else len(words)
    for place in (place for place, word in enumerate(words[:end]) if word == "--wait"):
        if not (place + 1 < end and _is_duration(words[place + 1])):
            return [*words[:place], f"--wait={_DEFAULT_WAIT}", *words[place + 1 :]]
    return words


def _is_duration(word: str) -> bool:
    try:
        parse_duration(word)
    except ValueError:
        return False
    return True


def _run(found: Found) -> int:
    if found.json_lines is not None:
        from .json_lines import send_lines  # noqa: PLC0415 - only who sends many pays for it

        return send_lines(found)
    with client(found, strict=found.strict) as daemon:
        id_ = found.id
        try:
            signal = signal_of(found)
            id_ = signal.id
            receipt = daemon.submit(signal)
        except TocsinError as error:
            failure = _failure(error, id_)
            daemon.losses.add(failure.facts["state"])  # the daemon hears of it when `daemon` closes
            raise failure from error
        return _print_receipt(receipt, found, daemon)


def _failure(error: TocsinError, id_: str | None) -> Failure:
    failure, receipt = failure_of(error), receipt_of(error, "")
    failure.facts |= {"id": id_, "state": receipt.state}
    return failure


def signal_of(found: Found) -> Signal:
    """The signal that the words describe. Raises InvalidSignal, or Failure when stdin should hold it and does not."""
    given = {name: getattr(found, name) for name in (*_TEXTS, "priority", "to", "attach")}
    given |= {name: _number(getattr(found, name)) for name in _NUMBERS}
    given |= {"fields": dict(found.field) if found.field else None, "tags": found.tag, "code": found.code or None}
    title, body = _title_and_body(found)
    return Signal(title, body, **given)


def _number(text: str | None) -> float | str | None:
    """A number where it is one; the rest is read as any odd value is."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _title_and_body(found: Found) -> tuple[str | None, str | None]:
    if found.title is not None:
        return found.title, read_stdin().ending() if found.body == "-" else found.body
    if (found.body or found.field) and (sys.stdin is None or sys.stdin.isatty()):
        return None, found.body if found.body != "-" else read_stdin().ending()
    if found.body == "-" or sys.stdin is None or sys.stdin.isatty():
        raise Failure(USAGE, "usage", "a signal needs a TITLE; see `tocsin send --help`", id=None, state="refused")
    text = read_stdin()
    return text.first_line(), found.body or text.ending(after_first_line=True) or None


def _print_receipt(receipt: Receipt, found: Found, daemon: Client) -> int:
    """Say what became of it, after waiting where that is wanted."""
    told = {"id": receipt.id, "state": receipt.state, "reason": receipt.reason}
    if not receipt.accepted:
        code = BAD_DATA if receipt.state == "refused" else TRY_LATER
        raise Failure(code, receipt.state, f"{receipt.state}: {receipt.reason}", **told)
    if not found.json:
        print_line(receipt.id)
        if receipt.reason or receipt.state != "stored":
            print_note(f"{receipt.state}: {receipt.reason or 'it was sent before'}")
    code = OK
    if found.wait is not None:
        told["outcome"] = outcome = _awaited(receipt, found.wait, daemon)
        code = _OUTCOMES.get(outcome, STILL_QUEUED)
        if code != OK:
            print_note(_unfinished(receipt.id, outcome, found.wait))
    if found.json:
        print_json({"schema": 1, "ok": code == OK, **told})
    return code


def _awaited(receipt: Receipt, seconds: float, daemon: Client) -> str:
    """What became of it within `seconds`. A daemon that is away meanwhile is looked for: the signal is on its disk, or in its spool."""
    end = time.monotonic() + seconds
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            reply = daemon.request("wait", timeout=left + _LATE, id=receipt.id, seconds=left)
            state = str(reply.get("state"))
        except Unreachable:
            state = "queued"
        except RequestFailed as failed:
            if failed.kind != "busy" and (failed.kind != "not-found" or receipt.state != "spooled"):
                raise
            state = "queued"  # the daemon is back, and has not come to it yet
        if state != "queued" or time.monotonic() >= end:
            return state
        time.sleep(min(_RECONNECT_SECONDS, max(0.0, end - time.monotonic())))


def _unfinished(id_: str, outcome: str, seconds: float) -> str:
    what = f"still queued after {format_duration(seconds)}" if outcome == "queued" else outcome
    return f"{id_} is {what}; `tocsin why {id_}` says why"


VERBS = {
    "send": Verb(
        arguments,
        _run,
        """
tocsin send "BUY BTCUSDT" -p urgent --price 64000.5 --field rsi=33 --expires 90s
tocsin send "Backup failed" --body - < backup.log
tocsin send "SELL BTCUSDT" --action SELL --price 64000.5 --attach chart.png
make 2>&1 | tail -20 | tocsin send "Build broken" --body - -p high
tocsin send --wait 1m "Deployed" || echo "nobody was told"
tocsin send --json-lines signals.jsonl
""",
        "0 stored durably, or spooled with a note (with --wait: delivered); 3 still queued when the time ran out; 4 dead; "
        "5 dropped by a rule; 64 usage; 65 bad signal; 66 unreadable file; 69 daemon unreachable (with --strict, or when the spool cannot "
        "be written either); 75 try again later; "
        "76 protocol mismatch; 77 permission.",
        prepare=with_wait,
    ),
}
