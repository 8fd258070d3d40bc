"""The README's ten lines work as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness import PATIENCE

ROOT = Path(__file__).parents[2]


def ten_lines() -> list[str]:
    """The first shell block of the chapter, line by line."""
    chapter = (ROOT / "README.md").read_text().split("## Ten lines")[1]
    block = re.search(r"```sh\n(.*?)```", chapter, re.DOTALL)
    assert block is not None
    return block[1].splitlines()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A fresh machine: no configuration, no webhook, its own places."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DISCORD_", "TOCSIN_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{clean['PATH']}"
    return {
        **clean,
        "PATH": path,
        "TOCSIN_SOCKET": str(tmp_path / "t.sock"),
        "STATE_DIRECTORY": str(tmp_path / "state"),
    }


def test_the_ten_lines_of_the_readme_work_as_written(tmp_path: Path, env: dict[str, str]) -> None:
    lines = ten_lines()
    assert len(lines) == 10
    assert lines[0] == ". .venv/bin/activate"  # the environment that runs this test stands in for it
    # A person types the next line once the daemon is up; a script waits for it by asking.
    ready = "until tocsin status -q; do test $? -eq 69 || break; done"
    script = "\n".join(["set -e", "trap 'kill %1; wait' EXIT", *lines[1:5], ready, *lines[5:]])
    done = subprocess.run(
        ["bash", "-mc", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "state='stored'" in done.stdout
    assert "BUY BTCUSDT" in done.stdout  # in the queue of what was sent
    arrived = (tmp_path / "state" / "alerts.jsonl").read_text()
    assert [title in arrived for title in ("BUY BTCUSDT", "disk is 91 % full", "what becomes of this one?")] == [
        True
    ] * 3
    assert re.search(r"local-file.*(sent|delivered)", done.stdout), done.stdout
