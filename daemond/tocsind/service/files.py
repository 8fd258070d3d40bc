"""Writing the files, and taking back exactly what was written.

Each file begins with a seal: a line that says who wrote it, with a hash of all that follows. A file whose seal is whole is ours to replace
or to remove; any other is left alone and named, because somebody may miss it. A package's files have no seal: the packager takes them back.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tocsind.errors import EXIT_NO_PERMISSION, CannotWrite, DaemonError

from .units import UnitFile

_SEAL = re.compile(r"# Written by `tocsind service install`; changes belong into a drop-in\. Seal ([0-9a-f]{16})\n")
_DROP_IN = "`systemctl edit` keeps changes in a drop-in; move this file away first"


class NoPermission(DaemonError):  # noqa: N818 - names the condition
    """The folders belong to somebody else."""

    exit_code = EXIT_NO_PERMISSION


def sealed(text: str) -> str:
    """The text behind its seal."""
    return f"# Written by `tocsind service install`; changes belong into a drop-in. Seal {_hash(text)}\n{text}"


def write(units: Sequence[UnitFile], root: Path, *, seal: bool) -> list[Path]:
    """Write all of them below `root`, or none; the paths. Raises CannotWrite, NoPermission."""
    contents = {below(root, unit): sealed(unit.text) if seal else unit.text for unit in units}
    for path in contents:
        if seal and _is_foreign(path):
            raise CannotWrite(f"{path} is there, and is not as `tocsind service install` wrote it: {_DROP_IN}")
    for path, content in contents.items():
        _replace(path, content)
    return list(contents)


def standing(units: Sequence[UnitFile], root: Path) -> tuple[list[Path], list[Path]]:
    """Which of them are there: as `write` wrote them, with the links by which they are enabled; and otherwise."""
    there = [path for unit in units if (path := below(root, unit)).exists()]
    foreign = [path for path in there if _is_foreign(path)]
    ours = [path for path in there if path not in foreign]
    return [each for path in ours for each in (path, *_enabling(path))], foreign


def _enabling(path: Path) -> list[Path]:
    """Links that `systemctl enable` made, and that would lead nowhere without the unit."""
    links = [folder / path.name for folder in sorted(path.parent.glob("*.wants"))]
    return [link for link in links if link.is_symlink()]


def remove(paths: Sequence[Path]) -> None:
    """Remove files. Raises CannotWrite, NoPermission."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(path, error) from error


def below(root: Path, unit: UnitFile) -> Path:
    """Where a file lies below another root."""
    return root / unit.path.lstrip("/")


def _is_foreign(path: Path) -> bool:
    try:
        found = path.read_text("utf-8")
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True
    seal = _SEAL.match(found)
    return seal is None or seal[1] != _hash(found[seal.end() :])


def _replace(path: Path, content: str) -> None:
    """In one step: a manager that reads meanwhile sees the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(content, "utf-8")
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError) -> DaemonError:
    if isinstance(error, PermissionError):
        own = "" if os.geteuid() == 0 else "; as root (sudo), or with --user for a service of your own"
        return NoPermission(f"{path}: {error.strerror}{own}")
    return CannotWrite(f"{path}: {error.strerror or error}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
