"""`tocsind`: the daemon's command line."""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take time
    from tocsind.host.interrupts import exit_quietly_on_interrupt

    exit_quietly_on_interrupt()

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any, NoReturn

from tocsin import disk_errors
from tocsin.cli import VERBS as CLIENT_VERBS
from tocsin.cli.suggestion import did_you_mean

from . import __version__, service, setup
from .config import ConfigurationInvalid, load
from .errors import EXIT_CANNOT_WRITE, EXIT_CONFIGURATION, EXIT_INTERNAL, CannotWrite, DaemonError
from .host.interrupts import run_interruptible
from .observe.log import LEVELS, redirect_stderr_to
from .observe.log_writer import LogWriter, Write, to_descriptor
from .secret import masked, register_environment

EXIT_USAGE = 64
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

EXAMPLES = """\
tocsind init --output alerts.toml     write a starting configuration
tocsind check --config alerts.toml    all mistakes in it, each with its line
tocsind check --online                whether each service can be reached and knows the token; posts nothing
tocsind run --config alerts.toml      serve until SIGTERM; SIGHUP reloads
tocsind service install --dry-run     the files of a systemd service
"""
EXITS = (
    "0 ok; 64 usage; 69 a service cannot be reached (check --online); 70 internal; 73 cannot write; 75 another daemon is there; "
    "77 permission; 78 configuration."
)


class _Misuse(Exception):  # noqa: N818 - an operator's mistake
    """The command line cannot be parsed."""

    def __init__(self, parser: argparse.ArgumentParser, message: str) -> None:
        super().__init__(message)
        self.parser = parser
        self.message = message


class _Parser(argparse.ArgumentParser):
    """argparse that raises _Misuse, with a suggestion."""

    def error(self, message: str) -> NoReturn:
        raise _Misuse(self, message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's; the parser of a verb refuses what it does not know, because it can suggest what was meant."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            options = [name for action in self._actions for name in action.option_strings]
            self.error(
                f"unrecognized argument: {rest[0]}{did_you_mean(rest[0], options) if rest[0][:1] == '-' else ''}"
            )
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if action.metavar == "VERB" and value in CLIENT_VERBS:
            hint = f"; did you mean `tocsin {value}`?"
        else:
            hint = did_you_mean(str(value), choices) or f"; choose from {', '.join(choices)}"
        raise argparse.ArgumentError(action, f"invalid choice: {value}{hint}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    _fill_standard_streams()
    register_environment()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        return _run(_arguments(words))
    except _Misuse as misuse:
        return _refuse(misuse, words)


def _run(arguments: argparse.Namespace) -> int:
    """Run a verb; its exit code. Raises _Misuse for options that contradict each other."""
    verb: Callable[[argparse.Namespace], int] = arguments.verb
    report_error = _write_in_time if verb is run else _write
    try:
        return verb(arguments) if verb is run else _written(verb, arguments)
    except _Misuse:
        raise
    except ConfigurationInvalid as invalid:
        report_error("\n".join(f"tocsind: {problem}" for problem in invalid.problems))
        return EXIT_CONFIGURATION
    except DaemonError as error:
        report_error(f"tocsind: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - a bug: its traceback is printed, with the exit code that the manual promises
        report_error(masked(traceback.format_exc().rstrip("\n")))  # an exception's text may quote a webhook
        return EXIT_INTERNAL


def _refuse(misuse: _Misuse, words: Sequence[str]) -> int:
    """Explain a mistake on the command line; with --json on stdout as well."""
    prog = misuse.parser.prog
    _write(f"{misuse.parser.format_usage()}{prog}: {misuse.message}\ntry `{prog} --help`")
    if "--json" in words:
        print(json.dumps({"schema": 1, "ok": False, "error": {"kind": "usage", "message": misuse.message}}))
    return EXIT_USAGE


def _written(verb: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a verb that prints its result. A closed pipe is no error: the reader has read enough. A full disk is one."""
    try:
        code = verb(arguments)
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else Python reports at exit that it cannot flush its buffer
        if isinstance(error, BrokenPipeError):
            return 0
        _print(f"cannot write: {error.strerror or error}")
        return EXIT_CANNOT_WRITE
    return code


def _arguments(words: list[str]) -> argparse.Namespace:
    if words == ["--version", "--json"]:
        return argparse.Namespace(verb=versions)
    return daemon_parser().parse_args(words)


def _fill_standard_streams() -> None:
    """Open /dev/null in place of closed standard streams: else the journal could be opened as descriptor 2."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the process ends


def daemon_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = _Parser(
        prog="tocsind",
        description="The daemon that brings signals to Discord, durably.",
        epilog=f"examples:\n{indent(EXAMPLES, '  ')}\nexit codes: {EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"tocsind {__version__}",
        help="show the version; with --json after it, the versions of all components",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add(verbs, "run", run, "serve until SIGTERM").add_argument("--log", choices=LEVELS, help="how much to log")
    setup.check_options(_add(verbs, "check", setup.check, "read the configuration and report all mistakes"))
    setup.init_options(_add(verbs, "init", setup.init, "write a starting configuration", config=False))
    service.add_verb(verbs)
    _add(verbs, "demo", demo, "daemon, fake Discord and three producers, in a temporary folder", config=False)
    return parser


def _add(
    verbs: argparse._SubParsersAction[_Parser],
    name: str,
    verb: Callable[[argparse.Namespace], int],
    text: str,
    *,
    config: bool = True,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(verb=verb)
    if config:
        parser.add_argument(
            "--config",
            metavar="FILE",
            help="the configuration [$TOCSIN_CONFIG, ./alerts.toml, /etc/tocsin/alerts.toml]",
        )
    if name == "run":
        parser.add_argument("--socket", metavar="PATH", help="where to listen [$TOCSIN_SOCKET, or as configured]")
        parser.add_argument(
            "--state", metavar="FOLDER", help="where to keep the journal [$STATE_DIRECTORY, or as configured]"
        )
        parser.add_argument(
            "--log-file", metavar="FILE", help="log to this file (two mebibytes at most), not to standard error"
        )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Serve; 0 after SIGTERM. Raises DaemonError."""
    import trio  # noqa: PLC0415 - `check` and `init` need no event loop

    from .daemon import Daemon  # noqa: PLC0415 - as above

    daemon = Daemon(
        lambda: load(arguments.config),
        socket=arguments.socket,
        state=arguments.state,
        log=arguments.log,
        log_write=_log_file(arguments.log_file),
    )

    def before_serving(number: int, _: object) -> None:
        """Before the daemon handles signals, one ends the process; once it stops, they are ignored."""
        if not daemon.leaving:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in _SIGNALS:
        signal.signal(number, before_serving)
    try:
        trio.run(daemon.run)
    except BaseExceptionGroup as group:
        raise next(_expected(group), group) from None
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # also while the interpreter exits
        daemon.log.close()
    return 0


def _log_file(path: str | None) -> Write | None:
    """The function that writes the log to a file; None without a file. Raises CannotWrite."""
    try:
        return redirect_stderr_to(path) if path else None
    except OSError as error:
        raise CannotWrite(
            f"the log {path} cannot be written: {disk_errors.reason(error, str(Path(path or '').parent))}"
        ) from error


def _expected(group: BaseExceptionGroup[BaseException]) -> Iterator[DaemonError]:
    """The errors in a group that are reported without a traceback; none when the group holds any other error."""
    expected, others = group.split(DaemonError)
    if others is None and expected is not None:
        for error in expected.exceptions:
            yield from _expected(error) if isinstance(error, BaseExceptionGroup) else (error,)


def versions(_: argparse.Namespace) -> int:
    """Print the versions of all components."""
    from .observe.build_info import report as build_report  # noqa: PLC0415 - loads ssl and sqlite3, which `check` and `init` do not need

    print(json.dumps(build_report(), indent=2))
    return 0


def demo(_: argparse.Namespace) -> int:
    """Run the demo."""
    from .demo import main as run_demo  # noqa: PLC0415 - only the demo needs the fake

    return run_demo()


def _print(message: str) -> None:
    _write(f"tocsind: {message}")


def _write(text: str) -> None:
    print(text, file=sys.stderr)


def _write_in_time(text: str) -> None:
    """Write for a limited time: a full pipe that no process reads must not keep the daemon from exiting."""
    writer = LogWriter(to_descriptor(2), str)
    for each in text.split("\n"):
        writer.put(each)
    writer.close()


if __name__ == "__main__":
    sys.exit(run_interruptible(main))
