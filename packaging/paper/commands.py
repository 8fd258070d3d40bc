"""The options, arguments and help texts of tocsin and tocsind, as data. argparse has no public API for this; the private one is stable."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin import __version__
from tocsin.cli import EXAMPLES as CLIENT_EXAMPLES
from tocsin.cli import EXITS as CLIENT_EXITS
from tocsin.cli import SUMMARY, VERBS, top_parser, verb_parser
from tocsin.signals import PRIORITIES
from tocsind.__main__ import EXAMPLES, EXITS, daemon_parser


@dataclass(frozen=True)
class Option:
    """An option or, without `names`, a positional argument."""

    names: tuple[str, ...]
    value: str | None  # the name of its value; None for a switch
    choices: tuple[str, ...]
    about: str

    @property
    def is_file(self) -> bool:
        """Whether the value is a file."""
        return self.value in {"FILE", "PATH", "FOLDER", "DIR"}

    @property
    def is_destination(self) -> bool:
        """Whether the value is the name of a destination."""
        return self.value in {"DEST", "DESTINATION"}


@dataclass(frozen=True)
class Verb:
    """A subcommand of a program."""

    name: str
    about: str
    options: tuple[Option, ...]
    examples: str = ""
    exits: str = ""


@dataclass(frozen=True)
class Program:
    """A command with its subcommands."""

    name: str
    about: str
    options: tuple[Option, ...]
    verbs: tuple[Verb, ...]
    examples: str
    exits: str
    version: str = __version__


def programs() -> list[Program]:
    """Both commands."""
    return [_client(), _daemon()]


def _client() -> Program:
    verbs = []
    for name, (_, about) in VERBS.items():
        parser, verb = verb_parser(name)
        verbs.append(Verb(name, about, tuple(_options(parser.thorough())), verb.examples.strip(), verb.exits))
    return Program(
        "tocsin", SUMMARY, tuple(_options(top_parser().thorough())), tuple(verbs), CLIENT_EXAMPLES.strip(), CLIENT_EXITS
    )


def _daemon() -> Program:
    parser = daemon_parser()
    verbs = tuple(verb for action in parser._actions for verb in _subverbs(action))  # noqa: SLF001 - as the first line says
    about = str(parser.description).rstrip(".")
    return Program("tocsind", about, tuple(_options(parser)), verbs, EXAMPLES, EXITS)


def _subverbs(action: argparse.Action) -> Iterator[Verb]:
    """The verbs of an argparse action that defines subcommands."""
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
        for name, parser in action.choices.items():
            yield Verb(name, str(parser.description), tuple(_options(parser)))


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    formatter = parser._get_formatter()  # noqa: SLF001 - as above
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:  # noqa: SLF001 - as above
            continue
        about = formatter._expand_help(action) if action.help else ""  # noqa: SLF001 - as above
        choices = tuple(map(str, action.choices)) if action.choices else ()
        if "--priority" in action.option_strings:
            choices = PRIORITIES  # checked with the signal, and not by argparse
        yield Option(tuple(action.option_strings), _value(action, choices), choices, about)


def _value(action: argparse.Action, choices: tuple[str, ...]) -> str | None:
    if action.nargs == 0:
        return None
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(choices) if choices else action.dest.upper()
