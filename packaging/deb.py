"""`make deb`: dist/tocsin_VERSION_ARCHITECTURE.deb, from the folder dist/tocsin of `make binary`.

    /usr/lib/tocsin        the folder; /usr/bin/tocsin and tocsind are links to its one program
    /etc/tocsin            alerts.toml, the documented default, as a configuration file that upgrades do not replace
    units, sysusers        as `tocsind service install` writes them, with paths of this package
    /usr/share             manuals and completions of `make paper` from build/paper, and the documents that Debian's policy requires

It needs only dpkg-deb. Modes, owners and times do not depend on the machine or the user, so each build gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST, DEBIAN, PAPER = ROOT / "dist", ROOT / "packaging" / "debian", ROOT / "build" / "paper"
SCRIPTS = ("postinst", "prerm", "postrm")
LIBRARY = Path("usr/lib/tocsin")
COMPLETIONS = {
    "bash": "bash-completion/completions",
    "zsh": "zsh/vendor-completions",
    "fish": "fish/vendor_completions.d",
}


def main() -> int:
    """Build the package and print its path. Returns the exit code."""
    if not (DIST / "tocsin" / "tocsin").is_file():
        sys.exit("dist/tocsin is missing: `make binary` builds it, and `make deb` calls that")
    stage = ROOT / "build" / "deb"
    shutil.rmtree(stage, ignore_errors=True)
    for fill in (programs, configuration, units, papers, policy_papers):
        fill(stage)
    normalise(stage)
    name = f"tocsin_{version()}_{architecture()}.deb"
    describe(stage)
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", stage, DIST / name], check=True, stdout=subprocess.DEVNULL
    )
    print(DIST / name)
    return 0


def version() -> str:
    """The package's version: the newest in its changelog."""
    found = re.match(r"tocsin \((\S+)\)", (DEBIAN / "changelog").read_text())
    assert found is not None, "packaging/debian/changelog begins with no version"
    return found[1]


def architecture() -> str:
    """Debian's name for the architecture of this machine."""
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def programs(stage: Path) -> None:
    """Install the folder, and the two names of its program."""
    shutil.copytree(DIST / "tocsin", stage / LIBRARY)
    names = stage / "usr/bin"
    names.mkdir(parents=True)
    for name in ("tocsin", "tocsind"):
        (names / name).symlink_to("../lib/tocsin/tocsin")


def configuration(stage: Path) -> None:
    """Install alerts.toml where the daemon looks for it by default."""
    folder = stage / "etc/tocsin"
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "alerts.toml", folder / "alerts.toml")


def units(stage: Path) -> None:
    """Install the units of the system's service with its user, and those of a user's own service."""
    install = (DIST / "tocsin" / "tocsin", "tocsind", "service", "install", "--vendor", "--exec", "/usr/bin/tocsind")
    for mode in ([], ["--user"]):
        subprocess.run([*install, "--root", stage, *mode], check=True, stdout=subprocess.DEVNULL)


def papers(stage: Path) -> None:
    """Install the manuals, compressed as policy requires, and the completions of each shell."""
    share = stage / "usr/share"
    for manual in sorted((PAPER / "man").iterdir()):
        folder = share / "man" / f"man{manual.suffix.removeprefix('.')}"
        folder.mkdir(parents=True, exist_ok=True)
        compress(Path(shutil.copyfile(manual, folder / manual.name)))
    for shell, place in COMPLETIONS.items():
        shutil.copytree(PAPER / "completions" / shell, share / place)


def policy_papers(stage: Path) -> None:
    """Install the documents that Debian's policy requires."""
    folder = stage / "usr/share/doc/tocsin"
    folder.mkdir(parents=True)
    shutil.copyfile(DEBIAN / "copyright", folder / "copyright")
    for source, name in ((DEBIAN / "changelog", "changelog.Debian"), (ROOT / "CHANGELOG.md", "changelog")):
        compress(Path(shutil.copyfile(source, folder / name)))
    overrides = stage / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    shutil.copyfile(DEBIAN / "lintian-overrides", overrides / "tocsin")


def compress(path: Path) -> None:
    """Compress a file as gzip -9n does, without a name or a time."""
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()


def normalise(stage: Path) -> None:
    """Set modes and times that do not depend on the builder; dpkg-deb sets the owners."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in (stage, *stage.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path == stage / LIBRARY / "tocsin" else 0o644)


def describe(stage: Path) -> None:
    """Write the control files that dpkg reads."""
    control = stage / "DEBIAN"
    control.mkdir()
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    text = (DEBIAN / "control").read_text()
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    described = text.format(version=version(), architecture=architecture(), size=size, libc=libc(files))
    (control / "control").write_text(described)
    names = [(path, path.relative_to(stage)) for path in files]
    (control / "conffiles").write_text("".join(f"/{name}\n" for _, name in names if name.parts[0] == "etc"))
    (control / "md5sums").write_text("".join(f"{digest(path)}  {name}\n" for path, name in names))
    for script in SCRIPTS:
        Path(shutil.copyfile(DEBIAN / script, control / script)).chmod(0o755)


def digest(path: Path) -> str:
    """The checksum that dpkg -V compares."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def libc(files: list[Path]) -> str:
    """The newest version of the C library that a symbol in these files requires."""
    asked = {found for path in files for found in re.findall(rb"GLIBC_2\.(\d+)\0", path.read_bytes())}
    return f"2.{max(int(minor) for minor in asked)}"


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
