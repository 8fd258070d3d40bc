"""The commands of docs/how-to/install.md: the package's in a clean Debian, the file's in a home of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.packaging.conftest import ROOT, Binary, built
from tests.packaging.debian import SOCKET, STATE, System

PAGE = (ROOT / "docs" / "how-to" / "install.md").read_text()
STANDING_IN = 'sudo() { "$@"; }; set -e\n'  # root has no sudo in a minimal system


def blocks(chapter: str) -> list[str]:
    """The commands of a chapter."""
    found: list[str] = re.findall(r"```sh\n(.*?)```", PAGE.split(f"## {chapter}\n")[1].split("\n## ")[0], re.DOTALL)
    return found


@pytest.mark.binary
@pytest.mark.timeout(600)
def test_install_page_installs_uses_and_removes_package(system: System, package: Path) -> None:
    install, use, remove, forget = blocks("The Debian package")
    shutil.copy(package, system.root)
    unasked = 'apt() { command apt-get --quiet --yes "$@"; }; cd /\n'
    system.run("sh", "-c", STANDING_IN + unasked + install)
    with system.daemon():
        output = system.run("sh", "-c", f"export TOCSIN_SOCKET={SOCKET}\n{STANDING_IN}{use}")
    assert "hello" in (system.root / STATE / "alerts.jsonl").read_text()
    assert "local-file" in output
    assert "/var/lib/tocsin stays" in system.run("sh", "-c", STANDING_IN + unasked + remove)
    system.run("sh", "-c", STANDING_IN + forget)
    assert not (system.root / STATE).exists()


@pytest.mark.binary
def test_install_page_installs_file_and_runs_demo(tmp_path: Path) -> None:
    shutil.copy(built("file"), tmp_path)
    [commands] = blocks("One file")
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was lost" in done.stdout


@pytest.mark.binary
def test_install_page_shows_versions(binary: Binary) -> None:
    [command] = blocks("Show the versions")
    path = f"{Path(binary.tocsind).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-ec", command], env={"PATH": path}, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["form"] == binary.form


PAGES = pytest.mark.parametrize("page", [PAGE, (ROOT / "README.md").read_text()], ids=["install", "readme"])


@PAGES
def test_page_names_existing_extras(page: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"'(?:tocsin|\.)\[([\w,]+)\]'", page)
    assert named
    assert {extra for each in named for extra in each.split(",")} <= set(extras)


@PAGES
def test_page_names_existing_make_targets(page: str) -> None:
    targets = re.findall(r"^make ([\w-]+)", page, re.MULTILINE)
    known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert set(targets) <= set(known)
