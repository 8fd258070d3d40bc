"""The command line that all benches share: `[NAME ...] [--json FILE] [--quick]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from .table import Table, machine, write_json


class Size(Enum):
    """Number of rounds: FULL for published figures, QUICK for development, TINY to check that a bench runs."""

    TINY = 0
    QUICK = 1
    FULL = 2


class Bench(Protocol):
    """The signature of a bench."""

    def __call__(self, size: Size) -> Table:
        """Measure."""


def main(benches: Mapping[str, Bench], argv: Sequence[str] | None = None) -> None:
    """Run the benches named in `argv`, or all, and show each table as soon as it is there."""
    given = _parser(list(benches)).parse_args(argv)
    size = Size.QUICK if given.quick else Size.FULL
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
    tables = []
    for name in given.benches or benches:
        tables.append(benches[name](size))
        print(tables[-1], end="\n\n", flush=True)
    if given.json:
        write_json(given.json, tables)


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measures, beside a floor and peers of the same run.", allow_abbrev=False
    )
    parser.add_argument(
        "benches", nargs="*", type=_one_of(names), metavar="NAME", help=f"of {', '.join(names)}; all by default"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--quick", action="store_true", help="measure less; for a look, not for the record")
    return parser


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    """argparse's `choices` would have to contain the empty list."""

    def check(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"there is no bench {name}; there are {', '.join(names)}")
        return name

    return check
