"""`tocsin send`: one signal, from options or stdin. Module json_lines sends many.

Without a daemon the signal is spooled, which is success for a script: exit code 0, and a note on stderr. With --strict, or when the spool
cannot be written, the exit code says why the signal was not stored.
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

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from typing import Any

_DEFAULT_WAIT = "30s"
_TEXTS = ("tier", "strategy", "symbol", "action", "key", "expires", "timestamp", "link", "source", "host", "id")
_NUMBERS = ("confidence", "price")
FORMATS = ("text", "markdown", "code")
OUTCOMES = {"delivered": OK, "queued": STILL_QUEUED, "dead": DEAD, "dropped": DROPPED, "silenced": DROPPED}
_LATE = 0.5  # seconds that the daemon's answer to `wait` may be late
_RECONNECT_SECONDS = 0.2  # between two attempts while `--wait` waits for a daemon that restarts


def arguments(parser: Parser) -> None:
    """Add the arguments that describe one signal."""
    parser.facts = {"id": None, "state": "refused"}
    parser.add_argument(
        "title", metavar="TITLE", nargs="?", help="the title (default: the first line of stdin; the rest is the body)"
    )
    parser.add_argument("--body", metavar="TEXT", help="the body; `-` reads stdin and keeps the end of a long text")
    signal_options(parser)
    parser.add_argument("--strict", action="store_true", help="do not spool: exit with 69 when no daemon answers")
    wait_option(parser)
    parser.add_argument("--json-lines", metavar="FILE", help="send one signal a line, as JSON objects; `-` is stdin")
    common(parser)


def wait_option(parser: Parser) -> None:
    """Add --wait; `with_wait` prepares its words."""
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=duration,
        help="wait until the signal is delivered, at most DURATION (default: 30s); a DURATION that follows belongs to --wait",
    )


def signal_options(parser: Parser, priority: str = ", ".join(PRIORITIES)) -> None:
    """Add the options that describe a signal, without title and body. `priority` is the help of -p."""
    parser.add_argument("-p", "--priority", metavar="P", help=priority)
    for name in (*_TEXTS, *_NUMBERS):
        parser.add_argument(f"--{name}", metavar=_METAVARS.get(name, name.upper()), help=_HELP.get(name))
    parser.add_argument("--done", action="store_true", help="this signal ends the story of its --key")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="how the body is to be read: text as it is (default), markdown with bold, lists and links, or code, in a block",
    )
    parser.add_argument("--code", action="store_true", help="the same as --format code")
    parser.add_argument("--field", metavar="K=V", action="append", type=_pair, help="add a field; may be repeated")
    parser.add_argument(
        "--attach",
        metavar="PATH",
        action="append",  # a second one is named in the message instead of lost
        help="attach a file of up to 8 MiB; an image is shown inline",
    )
    parser.add_argument("--tag", metavar="T", action="append", help="add a tag; may be repeated")
    parser.add_argument(
        "--to", metavar="DEST", action="append", help="send to this destination, not by the routes; may be repeated"
    )


_METAVARS = {"expires": "DURATION", "timestamp": "TIME", "link": "URL", "id": "ULID", "price": "N", "confidence": "N"}
_HELP = {
    "confidence": "0 to 1; determines the priority when none is given",
    "price": "the price",
    "tier": "the tier, for routing",
    "strategy": "the strategy that raised the signal",
    "symbol": "the symbol that is traded",
    "action": "BUY, SELL, or any other word",
    "expires": "do not post the signal after this time: 90s, 5m",
    "key": "signals with the same key share one message, edited in place where the service can",
    "timestamp": "time of the event, in any usual format (without a zone: UTC; default: now)",
    "link": "the URL that the title links to",
    "source": "the program that sends the signal",
    "host": "the host of the signal (default: this one)",
    "id": "a ULID; a signal with the same id is stored once",
}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise misread(f"{text!r} is not K=V")
    return name, value


def with_wait(words: list[str]) -> list[str]:
    """Give a bare --wait its default: argparse would take the title after it for the duration."""
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
        from .json_lines import send_lines  # noqa: PLC0415 - only --json-lines needs it

        return send_lines(found)
    with client(found, strict=found.strict) as daemon:
        id_ = found.id
        try:
            signal = signal_of(found)
            id_ = signal.id
            receipt = daemon.submit(signal)
        except TocsinError as error:
            failure = _failure(error, id_)
            daemon.losses.add(failure.facts["state"])  # reported when `daemon` closes
            raise failure from error
        return _print_receipt(receipt, found, daemon)


def _failure(error: TocsinError, id_: str | None) -> Failure:
    failure, receipt = failure_of(error), receipt_of(error, "")
    failure.facts |= {"id": id_, "state": receipt.state}
    return failure


def signal_of(found: Found) -> Signal:
    """The signal that the arguments describe. Raises InvalidSignal, and Failure when stdin is needed and cannot be read."""
    values = given(found)
    title, body = title_and_body(found)
    return Signal(title, body, **values)


def given(found: Found) -> dict[str, Any]:
    """What the options of `signal_options` say, by the names of a signal's fields."""
    values = {name: getattr(found, name) for name in (*_TEXTS, "priority", "to", "attach")}
    values |= {name: _number(getattr(found, name)) for name in _NUMBERS}
    return values | {
        "fields": dict(found.field) if found.field else None,
        "tags": found.tag,
        "done": found.done or None,
        "code": found.code or found.format == "code" or None,
        "markdown": found.format == "markdown" or None,
    }


def _number(text: str | None) -> float | str | None:
    """A number if it is one; other text is converted like any other value."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def title_and_body(found: Found) -> tuple[str | None, str | None]:
    """What the arguments say, or stdin. Raises Failure when stdin is needed and cannot be read."""
    if found.title is not None:
        return found.title, read_stdin().ending() if found.body == "-" else found.body
    if (found.body or found.field) and (sys.stdin is None or sys.stdin.isatty()):
        return None, found.body if found.body != "-" else read_stdin().ending()
    if found.body == "-" or sys.stdin is None or sys.stdin.isatty():
        raise _no_title(found)
    text = read_stdin()
    title = text.first_line() or None
    if title is None and found.wait is not None and not (found.body or found.field):
        raise _no_title(found)
    return title, found.body or text.ending(after_first_line=True) or None


def _no_title(found: Found) -> Failure:
    """The word after --wait may have been meant as the title."""
    hint = (
        "" if found.wait is None else "; a number or duration after --wait is its limit: `--wait=30s 5` has the title 5"
    )
    return Failure(USAGE, "usage", f"TITLE is required{hint}; see `tocsin send --help`", id=None, state="refused")


def _print_receipt(receipt: Receipt, found: Found, daemon: Client) -> int:
    """Print the result; with --wait, wait for the delivery first."""
    result = {"id": receipt.id, "state": receipt.state, "reason": receipt.reason}
    if not receipt.accepted:
        code = BAD_DATA if receipt.state == "refused" else TRY_LATER
        raise Failure(code, receipt.state, f"{receipt.state}: {receipt.reason}", **result)
    if not found.json:
        print_line(receipt.id)
        if receipt.reason or receipt.state != "stored":
            print_note(f"{receipt.state}: {receipt.reason or 'it was stored before'}")
    code = OK
    if found.wait is not None:
        result["outcome"] = outcome = await_outcome(receipt, found.wait, daemon)
        code = OUTCOMES.get(outcome, STILL_QUEUED)
    if found.json:
        print_json({"schema": 1, "ok": code == OK, **result})
    return code


def await_outcome(receipt: Receipt, seconds: float, daemon: Client) -> str:
    """Wait for the signal's outcome; prints a note unless it was delivered. Raises the client's exceptions."""
    outcome, held = _awaited(receipt, seconds, daemon)
    if OUTCOMES.get(outcome) != OK:
        print_note(_unfinished(receipt.id, outcome, seconds, held))
    return outcome


def _awaited(receipt: Receipt, seconds: float, daemon: Client) -> tuple[str, str | None]:
    """The signal's outcome within `seconds`, and why it is held if it is.

    Reconnects to a daemon that restarts: it has the signal in its journal or spool.
    """
    end = time.monotonic() + seconds
    while True:
        held = None
        left = max(0.0, end - time.monotonic())
        try:
            reply = daemon.request("wait", timeout=left + _LATE, id=receipt.id, seconds=left)
            state, held = str(reply.get("state")), reply.get("reason")
        except Unreachable:
            state = "queued"
        except RequestFailed as failed:
            if failed.kind != "busy" and (failed.kind != "not-found" or receipt.state != "spooled"):
                raise
            state = "queued"  # the daemon has restarted, and has not taken the spool in yet
        if state != "queued" or time.monotonic() >= end:
            return state, held
        time.sleep(min(_RECONNECT_SECONDS, max(0.0, end - time.monotonic())))


def _unfinished(id_: str, outcome: str, seconds: float, held: str | None) -> str:
    what = held or (f"still queued after {format_duration(seconds)}" if outcome == "queued" else outcome)
    return f"{id_} is {what}; see `tocsin why {id_}`"


VERBS = {
    "send": Verb(
        arguments,
        _run,
        """
tocsin send "BUY BTCUSDT" -p urgent --price 64000.5 --field rsi=33 --expires 90s
tocsin send "Backup failed" --body - < backup.log
tocsin send "SELL BTCUSDT" --action SELL --price 64000.5 --attach chart.png
make 2>&1 | tail -20 | tocsin send "Build broken" --body - -p high
tocsin send --wait 1m "Deployed" || echo "not delivered"
tocsin send --json-lines signals.jsonl
""",
        "0 stored on disk, or spooled with a note (with --wait: delivered); 3 still queued when the time ran out; 4 dead; "
        "5 dropped by a rule, or silenced; 64 usage error; 65 invalid signal; 66 file not readable; 69 daemon unreachable (with --strict, "
        "or when the spool cannot be written either); 75 temporary failure, try again later; 76 protocol mismatch; 77 permission denied.",
        prepare=with_wait,
    ),
}
