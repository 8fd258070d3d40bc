"""Words on the command line: argparse with this house's manners.

No abbreviations, since they break scripts when options are added. Help starts with examples and ends with exit codes. A mistake raises
Failure with 64 (argparse would leave with 2, which here means `not working`), and says what was perhaps meant.

A script may hand over thousands of times a day, so what argparse loads without need it does not get to load: `typing` for our own
annotations, and `shutil`, with all its compressors, to ask how wide a terminal is that nobody will print to.
"""

from __future__ import annotations

import argparse
import os

from tocsin.client import Client
from tocsin.durations import parse_duration

from .exits import USAGE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

DEFAULT_TIMEOUT = 5.0  # seconds: a person at a terminal, or a script's last step, would rather wait than miss
_USUAL_COLUMNS = 80


def _as_they_are(words: list[str]) -> list[str]:
    return words


class Verb:
    """One word that `tocsin` understands. `passes_on` sends words it does not know to somebody else, in `rest`."""

    def __init__(
        self,
        arguments: Callable[[Parser], None],
        run: Callable[[argparse.Namespace], int],
        examples: str,
        exits: str,
        *,
        prepare: Callable[[list[str]], list[str]] = _as_they_are,
        passes_on: bool = False,
    ) -> None:
        self.arguments = arguments
        self.run = run
        self.examples = examples
        self.exits = exits
        self.prepare = prepare
        self.passes_on = passes_on


class _Formatter(argparse.HelpFormatter):
    """Argparse makes one for every argument that is added; left to find the width by itself, it imports shutil and all archivers."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(1).columns or _USUAL_COLUMNS
    except OSError:
        return _USUAL_COLUMNS


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises Failure and suggests. `head` stands above its help; `facts` go into the JSON of its failures."""

    def __init__(self, prog: str, summary: str, examples: str, exits: str, *, usage: str | None = None) -> None:
        self._names: list[str] = []
        self.head = "\n".join((f"{summary}.".replace("?.", "?"), "", "Examples:", *_indented(examples), ""))
        self.facts: dict[str, Any] = {}
        super().__init__(
            prog=prog, usage=usage, epilog=f"Exit codes: {exits}", allow_abbrev=False, formatter_class=_Formatter
        )

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        self._names += [name for name in names if name.startswith("-")]
        return super().add_argument(*names, **settings)

    def read(self, words: list[str]) -> argparse.Namespace:
        """What `words` say. Raises Failure."""
        found, unknown = self.parse_known_args(words)
        if unknown:
            self.error(f"no such argument: {unknown[0]}{did_you_mean(unknown[0], self._names)}")
        return found

    def read_some(self, words: list[str]) -> argparse.Namespace:
        """What `words` say, and in `rest` those that say nothing here."""
        found, rest = self.parse_known_args(words)
        found.rest = rest
        return found

    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, "usage", f"{message}; see `{self.prog} --help`", **self.facts)

    def format_help(self) -> str:
        return f"{self.head}\n{super().format_help()}"


def common(parser: Parser) -> None:
    """The options that every verb has."""
    parser.add_argument(
        "--socket", metavar="PATH", help="the daemon's socket (default: $TOCSIN_SOCKET, else its usual place)"
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=duration,
        default=DEFAULT_TIMEOUT,
        help="how long the daemon may take (default: 5s)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout, on failure too")


def client(found: argparse.Namespace, *, strict: bool = True) -> Client:
    """A client as the common options want it. A strict one raises, and `main` turns that into an exit code."""
    return Client(found.socket, timeout=found.timeout, strict=strict)


def duration(text: str) -> float:
    """Seconds, for argparse."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to append to a complaint, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    close = get_close_matches(word.partition("=")[0], list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _indented(examples: str) -> list[str]:
    return [f"  {line}" for line in examples.strip().splitlines()]
