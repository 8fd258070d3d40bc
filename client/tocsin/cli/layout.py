"""Lines that fit the terminal: width, wrapped text, and tables whose rows go on in a second line where the first is too narrow."""

from __future__ import annotations

import os
import re

from .output import plain, print_json, print_line, print_note

TYPE_CHECKING = False  # importing typing is slow
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

USUAL_COLUMNS = 80
NARROWEST = 20  # a terminal that claims fewer columns gets lines of this many
NO_LIMIT = 10**6  # columns: in a pipe one thing is one line
INDENT = "    "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def columns(piped: int | None = None) -> int:
    """The width for stdout: $COLUMNS, or that of the terminal; for a pipe or file `piped`, where that is given.

    Read without `shutil`, which imports all compressors.
    """
    if piped is not None and not os.isatty(1):
        return piped
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return max(NARROWEST, int(named))
    try:
        return max(NARROWEST, os.get_terminal_size(1).columns or USUAL_COLUMNS)
    except OSError:
        return USUAL_COLUMNS


def wrapped(text: str, width: int, first: str = INDENT, then: str | None = None) -> list[str]:
    """`text` on one line, broken at spaces into lines of at most `width`; `first` stands before the first one, `then` before the others."""
    then = first if then is None else then
    lines, line = [], first
    for word in _pieces(plain(text).split(), width - max(len(first), len(then))):
        if len(line) + len(word) > width and line not in (first, then):
            lines.append(line.rstrip())
            line = then
        line += f"{word} "
    return [*lines, line.rstrip()]


def folded(line: str, width: int, then: str) -> list[str]:
    """A line that may have colours, broken at spaces; `then` stands before the second and later parts. Long words are not cut."""
    lines: list[str] = []
    at = 0
    for word in line.split(" "):
        size = len(_COLOUR.sub("", word))
        if lines and (at + 1 + size <= width or not lines[-1].strip()):
            lines[-1] += f" {word}"
            at += 1 + size
        else:
            lines.append(f"{then}{word}" if lines else word)
            at = (len(then) if len(lines) > 1 else 0) + size
    return lines


def _pieces(words: list[str], most: int) -> list[str]:
    """The words; those that no line could hold, cut."""
    return [word[at : at + most] for word in words for at in range(0, len(word), most)]


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], width: int = NO_LIMIT, below: Sequence[str] = ()
) -> list[str]:
    """Lines with aligned columns; the last column is not padded.

    Where a row would be wider than `width`, its first cell has a line of its own. `below` are texts to show beneath the rows, indented.
    """
    cells = [list(head), *([plain("-" if cell is None else cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    room = max(0, width - sum(widths[1:]) - 2 * len(widths[1:]))
    if widths[0] > room:
        fitting = [len(row[0]) for row in cells if len(row[0]) <= room]
        widths[0] = max(fitting, default=len(INDENT))
    notes = ["", *below]
    lines: list[str] = []
    for place, row in enumerate(cells):
        line = "  ".join(cell.ljust(size) for cell, size in zip(["", *row[1:]], widths, strict=True))
        if len(row[0]) <= widths[0]:
            line = row[0] + line[len(row[0]) :]
        else:
            lines.append(row[0])
        lines.append(line.rstrip())
        if place < len(notes) and notes[place]:
            lines += wrapped(notes[place], width)
    return lines


def print_rows(
    rows: Sequence[dict[str, Any]],
    head: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[Any]],
    *,
    key: str,
    none: str,
    as_json: bool,
) -> None:
    """Print the answer to a question for a list: a table, a note when it is empty, or one JSON object with the list below `key`."""
    if as_json:
        print_json({"schema": 1, "ok": True, key: rows})
    elif rows:
        for line in table(head, map(row, rows)):
            print_line(line)
    else:
        print_note(none)
