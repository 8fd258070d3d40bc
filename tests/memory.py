"""The temporary files of a test run: in memory, where this machine has a file system in memory that is large enough.

Hundreds of tests start a daemon, whose journal and spool wait for the disk at each commit, although no test ends the machine: what a
killed process has written survives in memory as on a disk. Tests in `tests/e2e` and `tests/journal` use the disk: they kill in the
middle of commits, which are too short in memory. All tests of a run with --basetemp use that folder, and `make test-binary`, which
installs a Debian, uses the disk. Without such memory all files are on the disk, below a folder with a short name: the path of a Unix socket
has at most 107 bytes, and TMPDIR may be long.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

SHORT = 30  # characters
DISK = min(
    (tempfile.gettempdir(), "/tmp", "/var/tmp"), key=lambda place: (not os.access(place, os.W_OK), len(place) > SHORT)
)
SHARED = Path("/dev/shm")
ROOM = 1 << 30  # bytes; the suite uses a tenth at a time, because the folder of a test that passed is removed
_PREFIX = "toc-"


def prepare(config: pytest.Config) -> None:
    """Put the temporary files of this process into memory, or onto the disk. In a worker: where the controller's are."""
    if hasattr(config, "workerinput"):
        _use(config.workerinput["files"])
    elif config.option.basetemp is None and config.option.markexpr != "binary":
        place = SHARED if has_room(SHARED) else Path(DISK)
        _remove_abandoned(place)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        folder.chmod(0o1777)  # other users enter it, as they do /tmp
        config.option.basetemp = str(folder / "t")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        _use(str(folder))


def has_room(place: Path) -> bool:
    """Whether the suite's files fit there, programs among them. Containers often give /dev/shm 64 MiB, and run none of its files."""
    if not os.access(place, os.W_OK):
        return False
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC


def _use(folder: str | None) -> None:
    if folder:
        tempfile.tempdir = folder  # not TMPDIR, which the programs under test would see


def _remove_abandoned(place: Path) -> None:
    """Remove the folders of runs that were killed."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
