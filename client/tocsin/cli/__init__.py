"""The command: `tocsin VERB ...`.

`main` finds the verb, imports the one module that knows it, and turns whatever happens into an exit code and a sentence:

    a verb's `run` returns its exit code, or raises Failure (exits.py) or one of the client's exceptions
    data goes to stdout, messages to stderr; with --json a failure is an object on stdout as well, so a program need not read prose
    a reader that closed the pipe and a person who pressed Ctrl-C are no errors

A hand-off from a shell script happens thousands of times a day, so nothing is imported that its verb does not need.
"""

from __future__ import annotations

import os
import sys

from tocsin import losses, notices
from tocsin.errors import TocsinError
from tocsin.lazy_import import lazy, nothing_at_exit

from .exit_codes import CANNOT_WRITE, INTERNAL, INTERRUPTED, OK, USAGE, Failure, failure_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .parsing import Parser, Verb

VERBS = {  # the word, the module that knows it, and what it is for
    "send": ("send", "hand a signal over"),
    "run": ("run", "run a command, and tell how it ended"),
    "status": ("status", "how is everything?"),
    "why": ("why", "what became of one signal, attempt by attempt"),
    "queue": ("queue", "what waits, or stands in another state"),
    "tail": ("tail", "what happens, a line each"),
    "top": ("top", "the lanes as they are, live"),
    "retry": ("operate", "put dead deliveries back"),
    "drop": ("operate", "do not deliver what still waits of a signal"),
    "backup": ("backup", "a consistent copy of the journal while the daemon runs"),
    "enable": ("operate", "put a disabled destination back into service"),
    "test": ("dry_run", "where a signal would go, as what, and when; sends nothing"),
    "demo": ("demo", "try it all on this machine, in a temporary folder"),
}

SUMMARY = "Hand signals to tocsind, and ask what became of them"
EXAMPLES = """
tocsin send "BUY BTCUSDT" -p urgent --price 64000.5    hand a signal over
tocsin run -- make backup                              run a command, tell when it fails
tocsin status                                          how is everything?
tocsin why 01J9Z3NDEKTSV4RRFFQ69G5FAV                  what became of that one?
"""
EXITS = (
    "0 done; 64 usage; 65 bad data, or unknown id or destination; 66 unreadable file; 69 daemon unreachable; 70 internal; "
    "73 cannot write; 75 try again later; 76 protocol mismatch; 77 permission; 130 interrupted. Some verbs have more."
)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns its exit code; only --help and --version leave by SystemExit, with 0."""
    if argv is None:  # this process is the command, which ends with it
        nothing_at_exit()
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


def _notice(text: str) -> None:
    from .output import print_note  # noqa: PLC0415 - most commands have nothing to say

    print_note(text)


def _no_log(kind: str, text: str) -> None:
    """Each verb prints the result of its own signals."""


def _guarded(words: list[str]) -> int:
    try:
        return _run(words)
    except Failure as failure:
        return _complain(failure, words)
    except TocsinError as error:
        return _complain(failure_of(error), words)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(Failure(CANNOT_WRITE, "cannot-write", f"cannot write: {error.strerror or error}"), words)
    except Exception as error:  # noqa: BLE001 - a bug: told with everything that finds it
        from traceback import print_exc  # noqa: PLC0415 - only a bug pays for it

        print_exc()
        return _complain(Failure(INTERNAL, "internal", f"a bug in tocsin: {type(error).__name__}"), words)


def _run(words: list[str]) -> int:
    before, name, after = _split(words)
    socket = top_parser().read(before).socket if before else None
    if name is None:
        raise Failure(USAGE, "usage", "no verb; see `tocsin --help`")
    parser, verb = verb_parser(name)
    found = parser.thorough().read_some(after) if verb.passes_on else parser.read(verb.prepare(after))
    found.socket = getattr(found, "socket", None) or socket
    return verb.run(found)


def _split(words: list[str]) -> tuple[list[str], str | None, list[str]]:
    """What stands before the verb, the verb, and what stands after it."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] == "--socket" else 1
    return words[:place], next(iter(words[place:]), None), words[place + 1 :]


def top_parser() -> Parser:
    """What reads the words before the verb."""
    from tocsin import __version__  # noqa: PLC0415 - loaded by whoever runs a command, not by who imports `main`

    from .parsing import Parser  # noqa: PLC0415 - as above

    parser = Parser(
        "tocsin",
        SUMMARY,
        EXAMPLES,
        EXITS,
        usage="tocsin [--socket PATH] VERB ...",
    )
    parser.head += "\n".join(("\nVerbs:", *(f"  {name:<8}{summary}" for name, (_, summary) in VERBS.items()), ""))
    parser.add_argument("--socket", metavar="PATH", help="the daemon's socket; may stand behind the verb as well")
    parser.add_argument(
        "--version", action="version", version=f"tocsin {__version__}", help="show the version and leave"
    )
    return parser


def verb_parser(name: str) -> tuple[Parser, Verb]:
    """What reads the words of one verb, and the verb. Raises Failure for a word that is none."""
    from .parsing import Parser  # noqa: PLC0415 - as above

    if name not in VERBS:
        from .suggestion import did_you_mean  # noqa: PLC0415 - only a mistake pays for it

        raise Failure(USAGE, "usage", f"no such verb: {name}{did_you_mean(name, VERBS)}; see `tocsin --help`")
    module, summary = VERBS[name]
    verb: Verb = lazy(f"{__package__}.{module}").VERBS[name]
    parser = Parser(f"tocsin {name}", f"{summary[0].upper()}{summary[1:]}", verb.examples, verb.exits)
    verb.arguments(parser)
    return parser, verb


def _complain(failure: Failure, words: list[str]) -> int:
    """Tell a failure to whoever is there to hear it."""
    from .output import print_json, print_note  # noqa: PLC0415 - json is loaded by who speaks it

    print_note(failure.message)
    if "--json" in words:
        try:
            print_json(failure.as_json(), now=True)
        except OSError:  # stdout is what failed, perhaps; the exit code and stderr have said it
            _silence_stdout()
    return failure.code


def _flushed(code: int) -> int:
    """`code`, once all data is out. A reader that has gone by now has read enough."""
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
    """Send what is still buffered nowhere, or Python complains about it on its way out."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
