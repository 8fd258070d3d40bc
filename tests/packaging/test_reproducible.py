"""The same commit gives the same binary, to the byte, so that users can compare a published one with their own build."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packaging.conftest import DIST, ROOT, built

SOURCES = ("alerts.toml", "client", "daemond", "LICENSE", "packaging")


def build_elsewhere(folder: Path) -> Path:
    """Build from a copy of the sources in another place, a day later; its dist."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / name)
    program = ROOT / "build" / "venv" / "bin" / "pyinstaller"
    later = {"SOURCE_DATE_EPOCH": str(int(os.environ.get("SOURCE_DATE_EPOCH", "1750000000")) + 86400)}
    paths = {"PYTHONPATH": f"{folder / 'client'}:{folder / 'daemond'}", "PYTHONHASHSEED": "1"}
    options = (
        "--noconfirm",
        "--clean",
        "--log-level",
        "WARN",
        "--distpath",
        folder / "dist",
        "--workpath",
        folder / "work",
    )
    subprocess.run(
        ["nice", program, *options, folder / "packaging" / "tocsin.spec"],
        env={**os.environ, **later, **paths},
        check=True,
    )
    return folder / "dist"


def tree(folder: Path) -> dict[str, str]:
    """Each file's hash, or where a link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.binary
@pytest.mark.timeout(600)
def test_two_builds_have_the_same_hash(tmp_path: Path) -> None:
    again = build_elsewhere(tmp_path)
    assert tree(again / "tocsin") == tree(DIST / "tocsin")
    assert tree(again)[built("file").name] == hashlib.sha256(built("file").read_bytes()).hexdigest()
