"""What `pip install` puts into an empty environment: one distribution, which works alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, file, route

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, **env: str) -> str:
    """What a command prints; its failure fails the test."""
    done = subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds nothing but tocsin, installed from its wheel without an index to ask."""
    folder = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    run(sys.executable, "-m", "venv", folder / "env")
    [wheel] = folder.glob("*.whl")
    run(folder / "env" / "bin" / "pip", "install", "--quiet", "--no-index", wheel)
    return folder / "env" / "bin"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_has_no_dependency(binaries: Path) -> None:
    listed = json.loads(run(binaries / "pip", "list", "--format", "json", "--disable-pip-version-check"))
    assert {each["name"] for each in listed} <= {"pip", "setuptools", "wheel", "tocsin"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_carries_the_default_configuration_and_the_units(binaries: Path) -> None:
    [wheel] = binaries.parents[1].glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    units = ROOT / "packaging" / "systemd"
    wanted = {f"tocsind/service/systemd/{path.relative_to(units)}" for path in units.rglob("*") if path.is_file()}
    assert {"tocsind/alerts.toml", *wanted} <= held
    assert len(wanted) == 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_hands_over_by_command_by_import_and_by_logging(binaries: Path, tmp_path: Path) -> None:
    script = """
import logging, sys, tocsin
assert not {"msgspec", "trio", "httpx", "logging.handlers"} & set(sys.modules)
print(tocsin.send("by import").state)
log = logging.getLogger()
log.addHandler(tocsin.Handler())
log.warning("by logging")
"""
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        places = {"TOCSIN_SOCKET": daemon.socket, "TOCSIN_SPOOL": str(daemon.spool)}
        assert run(binaries / "python", "-c", script, **places) == "spooled"
        daemon.start()
        assert run(binaries / "python", "-c", script, **places) == "stored"
        id_ = run(binaries / "tocsin", "send", "--wait", "20s", "by command", **places)
        assert run(binaries / "tocsin", "run", "--on", "always", "--", "echo", "by run", **places) == "by run"
        assert daemon.settled(id_) == ["delivered"]
        assert daemon.status()["counters"]["signals_accepted"] == 6
