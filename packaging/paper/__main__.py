"""`python -m paper FOLDER`: write everything below FOLDER. With --commands, print docs/reference/commands.md instead."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import completions, pages
from .commands import programs
from .roff import roff

os.environ["COLUMNS"] = "80"  # help is wrapped for a page, and not for this terminal


def main(words: list[str]) -> int:
    """What the first line says."""
    if words == ["--commands"]:
        print(pages.commands(programs()), end="")  # noqa: T201 - that is the job
        return 0
    [folder] = words
    for name, text in written().items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def written() -> dict[str, str]:
    """Each file's path and content."""
    found = programs()
    manuals = {f"man/{page.name}.{page.section}": roff(page) for page in pages.manuals(found)}
    shells = {f"completions/{path}": text for path, text in completions.scripts(found).items()}
    return manuals | shells


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
