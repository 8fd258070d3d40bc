"""`python -m paper FOLDER`: write everything below FOLDER. With --commands, print docs/reference/commands.md instead."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import completions, pages
from .commands import programs
from .roff import roff

os.environ["COLUMNS"] = "80"  # wrap help texts for a page, whatever the width of this terminal


def main(words: list[str]) -> int:
    """Write the files, or print the page. Returns the exit code."""
    if words == ["--commands"]:
        print(pages.commands(programs()), end="")  # noqa: T201 - the output of this program
        return 0
    [folder] = words
    for name, text in written().items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def written() -> dict[str, str]:
    """Path and content of each file."""
    found = programs()
    manuals = {f"man/{page.name}.{page.section}": roff(page) for page in pages.manuals(found)}
    shells = {f"completions/{path}": text for path, text in completions.scripts(found).items()}
    return manuals | shells


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
