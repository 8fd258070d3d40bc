"""Kind "exec": a program of your own, which gets signals as lines of JSON on its standard input."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tocsind.config import trusted_program
from tocsind.config.kind import Kind
from tocsind.config.model import Options
from tocsind.config.reader import Field, Location, Mistake, kind_of, shown
from tocsind.config.values import duration, several, text
from tocsind.secret import Secret

_SHORTEST_DEADLINE = 0.1  # seconds; starting a program takes some of them
_EXAMPLE = '["/usr/local/bin/notify", "argument"]'
# Their values stand in many texts and are no secrets; the value of any other variable may be one.
_PLAIN = re.compile(r"HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|DISPLAY|PATH|LANG|LC_\w+|XDG_\w+|\w+_PATH")


class Variable(msgspec.Struct, frozen=True):
    """A variable that the program gets; `value` None: it is not set."""

    name: str
    value: Secret | str | None


class ExecOptions(Options, frozen=True):
    """A program and its arguments. `environment` is what it gets beside PATH and LANG."""

    command: tuple[str, ...] = ()
    environment: Mapping[str, Secret | str] = {}
    deadline: float = 30.0

    @property
    def identity(self) -> str:
        return "\0".join(self.command)


def options(location: Location, found: Mapping[str, Any]) -> tuple[ExecOptions, str | None]:
    """The options, and the reason when the destination is disabled."""
    command: tuple[str, ...] = found.get("command", ())
    variables: tuple[Variable, ...] = found.get("env", ())
    unset = [each.name for each in variables if each.value is None]
    deadline = {"deadline": found["deadline"]} if "deadline" in found else {}
    if found.get("deadline", 1.0) < _SHORTEST_DEADLINE:
        location.at("deadline").wrong("no program can be started in so short a time")
    read = ExecOptions(
        command=command,
        environment={each.name: each.value for each in variables if each.value is not None},
        **deadline,
    )
    absent = trusted_program.missing(command[0]) if command else None
    return read, f"{unset[0]} is not set" if unset else absent


def _command(location: Location) -> tuple[str, ...]:
    if not isinstance(location.value, list) or not location.value:
        raise Mistake(f"must be a list like {_EXAMPLE}, not {kind_of(location.value)}; no shell reads it")
    program = trusted_program.program(location.at(0))
    if not trusted_program.is_program(program):
        location.at(0).warn("does not begin with #!, as #!/bin/sh: it cannot be started")
    return (program, *(_argument(location.at(place)) for place in range(1, len(location.value))))


def _argument(location: Location) -> str:
    if not isinstance(location.value, str) or "\0" in location.value:
        raise Mistake(f"an argument must be text, not {kind_of(location.value)}")
    return location.value


def _name(location: Location) -> str:
    name = text(location)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Mistake(f"{shown(name)} is no name of a variable; env takes names, and the daemon's values are passed on")
    return name


def _with_value(name: str) -> Variable:
    value = os.environ.get(name)
    return Variable(name, value if value is None or _PLAIN.fullmatch(name) else Secret(value))


FIELDS = {
    "command": Field(_command, missing=f"missing; a list like {_EXAMPLE}"),
    "env": Field(lambda location: tuple(map(_with_value, several(_name)(location)))),
    "deadline": Field(duration),
}
KIND = Kind(FIELDS, options)
