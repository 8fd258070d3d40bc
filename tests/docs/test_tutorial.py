"""The tutorial: each command prints what the page shows."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import Shell, matches, steps


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.mark.slow
def test_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "DISCORD_"))}
    port, path = free_port(), f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Shell(tmp_path, {**usual, "HOME": str(tmp_path), "PATH": path}) as shell:
        for typed, shown in steps("tutorial.md"):
            code, said = shell.run(typed.replace("8053", port))
            assert code == 0, f"{typed}\n{said}"
            assert shown is None or matches(shown, said), f"{typed}\nshould say\n{shown}\nand says\n{said}"
