"""Writes the files, and removes exactly the files that it wrote.

Each file begins with a seal: a line that names its author, with a hash of the rest. A file whose seal is right may be replaced or removed;
any other is left alone and named, because an administrator changed it. A package's files have no seal: the package manager removes them.
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
    """The folders belong to another user."""

    exit_code = EXIT_NO_PERMISSION


def sealed(text: str) -> str:
    """The text with its seal in front."""
    return f"# Written by `tocsind service install`; changes belong into a drop-in. Seal {_hash(text)}\n{text}"


def write(units: Sequence[UnitFile], root: Path, *, seal: bool) -> list[Path]:
    """Write all units below `root`, or none when one was changed; the paths. Raises CannotWrite, NoPermission."""
    contents = {below(root, unit): sealed(unit.text) if seal else unit.text for unit in units}
    for path in contents:
        if seal and _is_foreign(path):
            raise CannotWrite(
                f"{path} exists, and was changed after `tocsind service install`, or not written by it: {_DROP_IN}"
            )
    for path, content in contents.items():
        _replace(path, content)
    return list(contents)


def installed(units: Sequence[UnitFile], root: Path) -> tuple[list[Path], list[Path]]:
    """The existing files: those as `write` wrote them, with the links that enable them; and those that were changed."""
    there = [path for unit in units if (path := below(root, unit)).exists()]
    foreign = [path for path in there if _is_foreign(path)]
    unchanged = [path for path in there if path not in foreign]
    return [each for path in unchanged for each in (path, *_enabling_links(path))], foreign


def _enabling_links(path: Path) -> list[Path]:
    """Links that `systemctl enable` created, which would dangle without the unit."""
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
    """The path of a file below another root."""
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
    """Replace the file atomically: the service manager reads either the old text or the new one."""
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
