"""`make demo-hosts`, as CI and a reader run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness import need
from tests.shared.conftest import PROGRAM


def test_demo_of_three_hosts_survives_a_kill_and_says_so() -> None:
    need(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "tests.shared.demo_hosts"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9 of host" in done.stdout
    assert "lost                                                0\n" in done.stdout
