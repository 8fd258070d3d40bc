"""The results of `make binary` and `make deb`, as a user downloads them."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.harness import need
from tests.packaging.debian import NEEDED, System, out

import tocsind

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"


@dataclass(frozen=True)
class Binary:
    """One of the two forms of the binary, under both its names."""

    form: str  # as `tocsind --version --json` calls it
    path: Path
    tocsin: str
    tocsind: str

    @property
    def env(self) -> dict[str, str]:
        """The environment without variables by which it could find this Python."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return {**clean, "PATH": "/usr/bin:/bin"}


def built(form: str) -> Path:
    """Where `make binary` puts it."""
    path = (
        DIST / "tocsin" / "tocsin" if form == "folder" else DIST / f"tocsin-{tocsind.__version__}-{platform.machine()}"
    )
    assert path.is_file(), f"{path} is missing: `make binary` builds it"
    return path


@pytest.fixture(params=["folder", "file"])
def binary(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Binary]:
    """The binary in both forms, called by links of its two names. Folders that a killed one leaves are removed."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    monkeypatch.setenv("TMPDIR", str(unpacked))
    names = tmp_path / "bin"
    names.mkdir()
    path = built(request.param)
    for name in ("tocsin", "tocsind"):
        (names / name).symlink_to(path)
    yield Binary(request.param, path, str(names / "tocsin"), str(names / "tocsind"))
    shutil.rmtree(unpacked)


@pytest.fixture(scope="session")
def package() -> Path:
    """The package of `make deb`."""
    found = sorted(DIST.glob(f"tocsin_{tocsind.__version__}-*.deb"))
    assert len(found) == 1, f"dist holds {found}: `make deb` builds one"
    return found[0]


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A minimal Debian of the release that runs here, from the mirror that is configured here."""
    root = tmp_path_factory.mktemp("debian")
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    mirror = out("apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {release}").splitlines()[0]
    out(need("debootstrap"), "--variant=minbase", f"--include={NEEDED}", release, root, mirror)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def system(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A fresh one for each test."""
    root = tmp_path_factory.mktemp("d") / "r"  # short: sockets lie in there
    out("cp", "--archive", "--reflink=auto", clean, root)
    yield System(root)
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def installed(
    clean: Path, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[System, set[str]]]:
    """One with the package, for tests that only read, and the files that it installed."""
    root = tmp_path_factory.mktemp("i") / "r"
    out("cp", "--archive", "--reflink=auto", clean, root)
    system = System(root)
    before = system.files()
    system.install(package)
    yield system, system.files() - before
    shutil.rmtree(root)
