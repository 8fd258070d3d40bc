"""What is not configured costs no memory: the daemon's modules bring no kind with them, and a destination brings only its own."""

from __future__ import annotations

import subprocess
import sys

from tocsind.destinations.registry import BUILDERS

SHOW = "import sys; print(*(name for name in sys.modules if name.startswith(('tocsind.destinations.', 'tocsind.rendering.'))))"
OWN = {f"tocsind.{room}.{kind}" for room in ("destinations", "rendering") for kind in BUILDERS}
BUILD = """\
import tocsind.components, tocsind.daemon
from pathlib import Path
from tocsind.config import parse
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
table = 'kind = "telegram"\\nbot-token = { env = "NOT_SET" }\\nchat-id = -1001234567890'
config = parse(f'[destinations.d]\\n{table}\\n[[routes]]\\nto = ["d"]\\n', "alerts.toml")
build(config.destinations["d"], HttpClient(), Path("/nonexistent"))
"""


def imported(script: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{script}\n{SHOW}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & OWN


def test_daemon_without_destinations_imports_no_kind() -> None:
    assert imported("import tocsind.components, tocsind.daemon") == set()


def test_destination_imports_its_own_kind_only() -> None:
    assert imported(BUILD) == {"tocsind.destinations.telegram", "tocsind.rendering.telegram"}
