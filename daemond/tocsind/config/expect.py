"""The keys of an expectation."""

from __future__ import annotations

from collections.abc import Collection

from tocsin.signals import PRIORITIES
from tocsind.policy.expectation import default_grace, problem

from .model import ExpectOptions
from .reader import Field, Location, Mistake, kind_of, read_table
from .values import duration, filled, one_of, several, text


def expect(location: Location, names: Collection[str]) -> tuple[ExpectOptions, ...]:
    """All expectations; `names` are all destinations."""
    if not isinstance(location.value, list):
        raise Mistake(f"must be written as [[expect]], not as {kind_of(location.value)}")
    found: dict[str, ExpectOptions] = {}
    for index in range(len(location.value)):
        each = _expectation(location.at(index), names)
        if each is not None and each.name in found:
            location.at(index).at("name").wrong(f'"{each.name}" is expected twice')
        elif each is not None:
            found[each.name] = each
    return tuple(found.values())


def _expectation(location: Location, names: Collection[str]) -> ExpectOptions | None:
    fields = {
        "name": Field(_name, missing='missing; write it like name = "backup"'),
        "every": Field(_every, missing='missing; write it like every = "24h"'),
        "grace": Field(duration),
        "priority": Field(one_of(PRIORITIES, "priority")),
        "to": Field(filled(several(one_of(names, "destination")))),
    }
    found = read_table(location, fields)
    if not {"name", "every"} <= found.keys():
        return None
    return ExpectOptions(**{"grace": default_grace(found["every"]), **found})


def _name(location: Location) -> str:
    name = text(location)
    if complaint := problem(name, None, None):
        raise Mistake(complaint)
    return name


def _every(location: Location) -> float:
    seconds = duration(location)
    if complaint := problem("name", seconds, None):
        raise Mistake(complaint)
    return seconds
