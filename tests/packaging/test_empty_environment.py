"""The wheel in empty environments: alone it is the client, which needs nothing but Python; each extra works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, file, route

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, **env: str) -> str:
    """The output of a command; its failure fails the test."""
    done = subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    [built] = folder.glob("*.whl")
    return built


def installed(folder: Path, *words: str | Path) -> Path:
    """The programs of a new environment, into which pip installed these requirements."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip(folder / "bin", "install", "--quiet", "--constraint", ROOT / "packaging" / "constraints.txt", *words)
    return folder / "bin"


def pip(binaries: Path, *words: str | Path) -> str:
    """The output of this environment's pip, run on another one."""
    return run(sys.executable, "-m", "pip", "--python", binaries / "python", "--disable-pip-version-check", *words)


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds nothing but tocsin, installed without an index."""
    return installed(tmp_path_factory.mktemp("empty") / "env", "--no-index", wheel)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wheel_has_no_dependency(binaries: Path) -> None:
    assert {each["name"] for each in json.loads(pip(binaries, "list", "--format", "json"))} == {"tocsin"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wheel_contains_default_configuration_units_and_page(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    units = ROOT / "packaging" / "systemd"
    wanted = {f"tocsind/service/systemd/{path.relative_to(units)}" for path in units.rglob("*") if path.is_file()}
    assert {"tocsind/alerts.toml", "tocsind/page/page.html", "tocsind/page/locked.html", *wanted} <= held
    assert len(wanted) == 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_client_alone_sends_by_command_import_and_logging(binaries: Path, tmp_path: Path) -> None:
    script = """
import logging, sys, tocsin
assert not {"msgspec", "trio", "httpx", "logging.handlers"} & set(sys.modules)
tocsin.client._process_wide.timeout = 20
print(tocsin.send("by import").state)
log = logging.getLogger()
log.addHandler(tocsin.Handler(timeout=20))
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


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
USES = {  # an extra besides `daemon`, and modules that it makes importable
    "top": "tocsin.top.full_screen",
    "apprise": "apprise",
    "shared": "tocsind.daemon, tocsind.shared.redis_engine",
    "dev": "hypothesis, mypy, pytest, pytest_trio, ruff, tocsin.top.full_screen, tocsind.daemon",
    "binary": "PyInstaller, tocsin.top.full_screen, tocsind.daemon",
    "bench": "greenstalk, huey, persistqueue, pytest, redis",
}


def environment(extra: str, wheel: Path, folder: Path) -> Path:
    """The programs of an environment with one extra, all of whose requirements are there and fit together."""
    binaries = installed(folder / "env", f"{wheel}[{extra}]")
    pip(binaries, "check")
    listed = {each["name"].lower().replace("_", "-") for each in json.loads(pip(binaries, "list", "--format", "json"))}
    assert {re.split(r"[<>=\[]", each)[0] for each in EXTRAS[extra]} <= listed
    return binaries


def test_every_extra_is_tested() -> None:
    assert {"daemon", *USES} == set(EXTRAS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_daemon_extra_runs_a_daemon_that_delivers(wheel: Path, tmp_path: Path) -> None:
    binaries = environment("daemon", wheel, tmp_path)
    command = (str(binaries / "tocsind"),)
    with DaemonProcess(tmp_path / "host", file() + route("local-file"), command=command) as daemon:
        daemon.start()
        run(binaries / "tocsin", "send", "hello", "--wait", "20s", TOCSIN_SOCKET=daemon.socket)
        assert "hello" in (daemon.state / "alerts.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "extra",
    # those of developers take up to a minute each: `make test-binary` runs them
    [each if each in {"top", "apprise"} else pytest.param(each, marks=pytest.mark.binary) for each in USES],
)
def test_extra_can_be_imported(extra: str, wheel: Path, tmp_path: Path) -> None:
    run(environment(extra, wheel, tmp_path) / "python", "-c", f"import {USES[extra]}")
