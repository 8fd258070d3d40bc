"""Words on the command line as argparse reads them, with this house's manners: what is unusual, wrong or asks for help.

No abbreviations, since they break scripts when options are added. Help starts with examples and ends with exit codes. A mistake raises
Failure with 64 (argparse would leave with 2, which here means `not working`), and says what was perhaps meant. `shutil`, with all its
compressors, is not loaded to ask how wide a terminal is that nobody will print to.
"""

from __future__ import annotations

import argparse
import os

from .exit_codes import USAGE, Failure
from .parsing import Found, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .parsing import Parser

_USUAL_COLUMNS = 80


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


class Thorough(argparse.ArgumentParser):
    """An ArgumentParser that raises Failure and suggests."""

    def __init__(self, words: Parser) -> None:
        self._words = words
        super().__init__(
            prog=words.prog,
            usage=words.usage,
            epilog=f"Exit codes: {words.exits}",
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        for names, settings in words.arguments:
            self.add_argument(*names, **settings)

    def read(self, words: list[str]) -> Found:
        """What `words` say. Raises Failure."""
        found, unknown = self.parse_known_args(words, Found())
        if unknown:
            known = [name for names, _ in self._words.arguments for name in names if name.startswith("-")]
            self.error(f"no such argument: {unknown[0]}{did_you_mean(unknown[0], known)}")
        return found

    def read_some(self, words: list[str]) -> Found:
        """What `words` say, and in `rest` those that say nothing here."""
        found, rest = self.parse_known_args(words, Found())
        found.rest = rest
        return found

    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, "usage", f"{message}; see `{self.prog} --help`", **self._words.facts)

    def format_help(self) -> str:
        return f"{self._words.head}\n{super().format_help()}"
