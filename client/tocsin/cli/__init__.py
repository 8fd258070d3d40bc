"""The command: `tocsin VERB ...`.

`main` finds the verb, imports the one module that knows it, and turns whatever happens into an exit code and a sentence:

    a verb's `run` returns its exit code, or raises Failure (exit_codes) or one of the client's exceptions
    data goes to stdout, messages to stderr; with --json a failure is an object on stdout as well
    a closed pipe on stdout and Ctrl-C are not errors

A shell script may run it thousands of times a day, so nothing is imported that the verb does not need.
"""

from __future__ import annotations

import os
import sys

from tocsin import losses, notices
from tocsin.errors import TocsinError
from tocsin.lazy_import import lazy, nothing_at_exit

from .exit_codes import CANNOT_WRITE, INTERNAL, INTERRUPTED, OK, USAGE, Failure, failure_of_question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .parsing import Parser, Verb

VERBS = {  # name: module, summary
    "send": ("send", "send a signal"),
    "run": ("run", "run a command, and send a signal when it fails"),
    "status": ("status", "show the daemon's health, queue and destinations"),
    "why": ("why", "show the history of a signal, attempt by attempt"),
    "queue": ("queue", "list deliveries that are queued, or in another state"),
    "tail": ("tail", "show events, one a line"),
    "top": ("top", "show destinations and queues, live"),
    "retry": ("operate", "requeue dead deliveries"),
    "drop": ("operate", "drop the queued deliveries of a signal"),
    "ack": ("acknowledge", "acknowledge an alert, so that it is not repeated"),
    "silence": ("silences", "store matching signals for a while and send none of them"),
    "silences": ("silences", "list the silences in force"),
    "unsilence": ("silences", "end a silence early"),
    "expect": ("expect", "say that a program works, and raise an alarm when it stops saying so"),
    "expected": ("expect", "list the programs whose heartbeats are expected"),
    "backup": ("backup", "copy the journal while the daemon runs"),
    "enable": ("operate", "put a disabled destination back into service"),
    "reload": ("reload", "read the configuration again, and say what came of it"),
    "test": ("dry_run", "show where and when a signal would be sent, without sending it; --send sends a marked test"),
    "demo": ("demo", "run a daemon and a fake Discord in a temporary folder"),
}

SUMMARY = "Send signals to tocsind, and query and control the daemon"
EXAMPLES = """
tocsin send "BUY BTCUSDT" -p urgent --price 64000.5    send a signal
tocsin run -- make backup                              run a command, send a signal when it fails
tocsin status                                          show health, queue and destinations
tocsin why 01J9Z3NDEKTSV4RRFFQ69G5FAV                  show the history of a signal
"""
EXITS = (
    "0 success; 64 usage error; 65 invalid data, or unknown id or destination; 66 file not readable; 69 daemon unreachable; "
    "70 internal error; 73 cannot write; 75 temporary failure, try again later; 76 protocol mismatch; 77 permission denied; "
    "130 interrupted. Some verbs have more."
)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit code; only --help and --version raise SystemExit, with 0."""
    if argv is None:  # this process is the command
        nothing_at_exit()
        _escape_what_stdout_cannot_encode()
    words = sys.argv[1:] if argv is None else argv
    before = notices.write, losses.log
    notices.write, losses.log = _notice, _no_log
    try:
        return _flushed(_guarded(words))
    except BrokenPipeError:
        _silence_stdout()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        notices.write, losses.log = before


def _escape_what_stdout_cannot_encode() -> None:
    """Titles are Unicode, and a terminal or a cron job may be ASCII or Latin-1."""
    if sys.stdout is not None and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a TextIOWrapper


def _notice(text: str) -> None:
    from .output import print_note  # noqa: PLC0415 - most commands print no notice

    print_note(text)


def _no_log(kind: str, text: str) -> None:
    """Each verb prints the result of its own signals."""


def _guarded(words: list[str]) -> int:
    try:
        return _run(words)
    except Failure as failure:
        return _complain(failure, words)
    except TocsinError as error:
        return _complain(failure_of_question(error), words)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(Failure(CANNOT_WRITE, "cannot-write", f"cannot write: {error.strerror or error}"), words)
    except Exception as error:  # noqa: BLE001 - a bug, reported with its traceback
        from traceback import print_exc  # noqa: PLC0415 - only a bug needs it

        print_exc()
        return _complain(Failure(INTERNAL, "internal", f"a bug in tocsin: {type(error).__name__}"), words)


def _run(words: list[str]) -> int:
    before, name, after = _split(words)
    socket = top_parser().read(before).socket if before else None
    if name is None:
        raise Failure(USAGE, "usage", "no verb given; see `tocsin --help`")
    parser, verb = verb_parser(name)
    found = parser.thorough().read_some(after) if verb.passes_on else parser.read(verb.prepare(after))
    found.socket = getattr(found, "socket", None) or socket
    return verb.run(found)


def _split(words: list[str]) -> tuple[list[str], str | None, list[str]]:
    """The words before the verb, the verb, and the words after it."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] == "--socket" else 1
    return words[:place], next(iter(words[place:]), None), words[place + 1 :]


def top_parser() -> Parser:
    """The parser of the words before the verb."""
    from tocsin import __version__  # noqa: PLC0415 - loaded by a command, not by a program that imports `main`

    from .parsing import Parser  # noqa: PLC0415 - as above

    parser = Parser(
        "tocsin",
        SUMMARY,
        EXAMPLES,
        EXITS,
        usage="tocsin [-h] [--version] [--socket PATH] VERB ...",
    )
    parser.head += "\n".join(("\nVerbs:", *(f"  {name:<10}{summary}" for name, (_, summary) in VERBS.items()), ""))
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket; also accepted after the verb")
    parser.add_argument(
        "--version", action="version", version=f"tocsin {__version__}", help="show the version and exit"
    )
    return parser


def verb_parser(name: str) -> tuple[Parser, Verb]:
    """The parser of a verb's arguments, and the verb. Raises Failure for an unknown verb."""
    from .parsing import Parser  # noqa: PLC0415 - as above

    if name not in VERBS:
        from .suggestion import other_verb  # noqa: PLC0415 - only a mistake pays for it

        raise Failure(USAGE, "usage", f"unknown verb: {name}{other_verb(name, VERBS)}; see `tocsin --help`")
    module, summary = VERBS[name]
    verb: Verb = lazy(f"{__package__}.{module}").VERBS[name]
    parser = Parser(f"tocsin {name}", f"{summary[0].upper()}{summary[1:]}", verb.examples, verb.exits)
    verb.arguments(parser)
    return parser, verb


def _complain(failure: Failure, words: list[str]) -> int:
    """Print a failure to stderr, and with --json to stdout."""
    from .output import print_json, print_note  # noqa: PLC0415 - most commands do not fail

    print_note(failure.message)
    own = words[: words.index("--")] if "--" in words else words  # `tocsin run -- CMD --json` is the command's option
    if "--json" in own:
        try:
            print_json(failure.as_json(), now=True)
        except OSError:  # perhaps stdout is what failed; stderr and the exit code report the failure
            _silence_stdout()
    return failure.code


def _flushed(code: int) -> int:
    """`code`, after all data is written. A reader that has closed the pipe is not an error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
    except OSError as error:
        _silence_stdout()
        return _complain(Failure(CANNOT_WRITE, "cannot-write", f"cannot write: {error.strerror or error}"), [])
    return code


def _silence_stdout() -> None:
    """Discard what is still buffered, or Python reports an error when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
