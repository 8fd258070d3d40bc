"""The command line parsed by argparse: unusual spellings, usage errors and --help.

Options cannot be abbreviated, because abbreviations break scripts when options are added. Help starts with examples and ends with exit
codes. A usage error raises Failure with 64 (argparse would exit with 2, which means `failing` here), with a suggestion.
"""

from __future__ import annotations

import argparse

from .exit_codes import USAGE, Failure
from .layout import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, Protocol

    class Declared(Protocol):
        """The arguments of one verb, and what its help and its failures say (`parsing.Parser`)."""

        prog: str
        usage: str | None
        exits: str
        head: str
        facts: dict[str, Any]
        arguments: list[tuple[tuple[str, ...], dict[str, Any]]]


_REQUIRED = "the following arguments are required: "


class _Formatter(argparse.HelpFormatter):
    """A formatter that is given its width: argparse makes one for every added argument, and would import shutil."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


class Thorough(argparse.ArgumentParser):
    """An ArgumentParser that raises Failure and suggests. `found` makes the object that gets the values."""

    def __init__(self, declared: Declared, found: Callable[[], Any]) -> None:
        self._declared = declared
        self._found = found
        super().__init__(
            prog=declared.prog,
            usage=declared.usage,
            epilog=f"Exit codes: {declared.exits}",
            allow_abbrev=False,
            formatter_class=_Formatter,
        )
        for names, settings in declared.arguments:
            self.add_argument(*names, **settings)

    def read(self, words: list[str]) -> Any:
        """Parse `words`. Raises Failure."""
        found, unknown = self.parse_known_args(words, self._found())
        if unknown:
            self.error(self._unknown(unknown[0]))
        return found

    def _unknown(self, word: str) -> str:
        from .suggestion import did_you_mean  # noqa: PLC0415 - only a mistake pays for it

        has_title = any(names == ("title",) for names, _ in self._declared.arguments)
        if has_title and word.partition("=")[0] == "--title":
            return f"unrecognized argument: {word}; the title needs no option"
        if word.startswith("-"):
            known = [name for names, _ in self._declared.arguments for name in names if name.startswith("-")]
            if word in known:
                return f"{word} stands after `--`, where all words are plain ones; write options before it"
            return f"unrecognized argument: {word}{did_you_mean(word, known)}"
        return f"one argument too many: {word}" + ("; a title of several words needs quotes" if has_title else "")

    def read_some(self, words: list[str]) -> Any:
        """Parse `words`; those that are not known are collected in `rest`."""
        found, rest = self.parse_known_args(words, self._found())
        found.rest = rest
        return found

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """As argparse's, which drops the value of `--symbol=--`."""
        if action.option_strings and arg_strings == ["--"]:
            return self._get_value(action, "--")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's, with a suggestion."""
        if action.choices is None or value in action.choices:
            return
        from .suggestion import did_you_mean  # noqa: PLC0415 - as above

        choices = [str(choice) for choice in action.choices]
        hint = did_you_mean(str(value), choices) or f"; choose from {', '.join(choices)}"
        raise argparse.ArgumentError(action, f"invalid choice: {value}{hint}")

    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ").replace(": expected one argument", " requires a value")
        if message.startswith(_REQUIRED):
            message = f"{message.removeprefix(_REQUIRED)} is required"
        raise Failure(USAGE, "usage", f"{message}; see `{self.prog} --help`", **self._declared.facts)

    def format_help(self) -> str:
        return f"{self._declared.head}\n{super().format_help()}"
