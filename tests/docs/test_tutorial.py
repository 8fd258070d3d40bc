"""The tutorial: each command prints what the page shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, matches, steps


@pytest.mark.slow
def test_tutorial_prints_what_it_shows(tmp_path: Path, port: int) -> None:
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "DISCORD_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Shell(tmp_path, {**usual, "HOME": str(tmp_path), "PATH": path}) as shell:
        for typed, shown in steps("tutorial.md"):
            code, said = shell.run(typed.replace("8053", str(port)))
            assert code == 0, f"{typed}\n{said}"
            assert shown is None or matches(shown, said), f"{typed}\nshould say\n{shown}\nand says\n{said}"
