"""A Debian in a folder, with or without the package of `make deb`.

Nothing here starts a service manager. A chroot has none, as a container has none, and the maintainer scripts must do with that; the daemon
is started as the unit would start it: as its user, with its state folder.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import PATIENCE, notify_socket

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
STATE = Path("var/lib/tocsin")
SOCKET = f"/{STATE}/t.sock"  # there is no manager that would make /run/tocsin
CLIENT = ("env", f"TOCSIN_SOCKET={SOCKET}", "tocsin")
NEEDED = (
    "systemd-standalone-sysusers,systemd-standalone-tmpfiles"  # dependencies of the package that a minimal system lacks
)
DPKGS_OWN = (
    "var/lib/dpkg/",
    "var/lib/systemd/deb-systemd-helper",
    "var/log/",
    "var/cache/",
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "etc/gshadow",
    "etc/.pwd.lock",
)


def out(*words: str | Path) -> str:
    """The output of a command; its failure fails the test."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


class System:
    """A Debian in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)

    def run(self, *words: str) -> str:
        """The output of a command in it, on both streams. /proc is mounted during the command."""
        own = ("unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.root / 'proc'}")
        clean = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            [*own, "chroot", self.root, *words],
            env=clean,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def install(self, package: Path) -> str:
        """As `dpkg --install` does it."""
        shutil.copy(package, self.root / "package.deb")
        try:
            return self.run("dpkg", "--force-unsafe-io", "--install", "/package.deb")
        finally:
            (self.root / "package.deb").unlink()

    def files(self) -> set[str]:
        """Every path in it, except dpkg's own files and those of users that stay."""
        paths = (str(path.relative_to(self.root)) for path in self.root.rglob("*"))
        return {path for path in paths if not path.startswith(DPKGS_OWN)}

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, as its unit starts it, ready."""
        state = self.root / STATE
        with notify_socket(state) as (address, received):
            (state / "notify").chmod(0o666)
            places = {
                "NOTIFY_SOCKET": f"/{STATE / Path(address).name}",
                "STATE_DIRECTORY": f"/{STATE}",
                "TOCSIN_SOCKET": SOCKET,
            }
            process = subprocess.Popen(
                ["/usr/sbin/chroot", "--userspec=tocsin:tocsin", self.root, "tocsind", "run"],
                env={"PATH": PATH, **places},
                stdin=subprocess.DEVNULL,
            )
            try:
                assert "READY=1" in received()
                yield process
            finally:
                process.kill()
                process.wait(PATIENCE)
