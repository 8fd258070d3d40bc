"""Documents that can be run: their fenced blocks, and one shell that they all run in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.harness import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END = "--- that was all: "


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the rest of that line, and its text."""

    language: str
    about: str
    text: str


def blocks(document: str) -> list[Block]:
    """All of a document below docs/, in order."""
    return [
        Block(language, about.strip(), text) for language, about, text in _BLOCK.findall((DOCS / document).read_text())
    ]


def steps(document: str) -> Iterator[tuple[str, str | None]]:
    """Each shell block that a reader types, and the output that the document shows for it, if it does. `sh setup` is not for tests."""
    found = blocks(document)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language == "sh" and block.about != "setup":
            yield block.text, after.text if after is not None and after.language == "text" else None


def matches(shown: str, said: str) -> bool:
    """Whether the output of a program is what the document shows; `...` matches anything within a line."""
    pattern = "".join("[^\n]*" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", shown))
    return re.fullmatch(pattern, said) is not None


class Shell:
    """One bash, block after block."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={"PYTHONUNBUFFERED": "1", **env},  # each line at once, as a terminal shows it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, text: str) -> tuple[int, str]:
        """The exit code of a block, and its output on both streams."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{text}\necho '{_END}'$?\n")
        self._bash.stdin.flush()
        said: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(_END):
                return int(line.removeprefix(_END)), "".join(said)
            said.append(line)
        raise AssertionError(f"the shell left: {''.join(said)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and with it whatever a block left in the background."""
        os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.communicate(timeout=PATIENCE)
