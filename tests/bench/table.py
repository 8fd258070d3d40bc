"""The result of a bench: rows of figures, skipped peers with reasons, and the machine. As text, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One measured thing. A figure's name ends in its unit: `p50 us`, `per s`, `MB`; `x floor` is a ratio."""

    name: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Table:
    """What one bench found. `counts` are signals; `left_out` names what could not be measured here, with the reason."""

    bench: str
    title: str
    rows: list[Row]
    counts: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        columns = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        lines = [["", *columns], *([row.name, *(_cell(row, name) for name in columns)] for row in self.rows)]
        counts = ", ".join(f"{name} {n:,}" for name, n in self.counts.items())
        tail = [*([counts] if counts else []), *(f"left out: {k}: {v}" for k, v in self.left_out.items()), *self.notes]
        return "\n".join([f"{self.bench}  {self.title}", "", *_aligned(lines), *([""] if tail else []), *tail])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(1, ceil(len(ranked) * percent / 100)) - 1]


def over_rounds(rounds: Iterable[Sequence[float]], percent: float) -> float:
    """The median over the rounds of each round's percentile."""
    return median(percentile(values, percent) for values in rounds)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def write_json(path: Path, tables: Sequence[Table]) -> None:
    """The tables and the machine as one object."""
    found = {"schema": SCHEMA, "machine": machine(), "benches": [asdict(table) for table in tables]}
    path.write_text(json.dumps(found, indent=2) + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _cell(row: Row, name: str) -> str:
    figure = row.figures.get(name)
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join([head.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for head, *cells in lines]
