"""The files to install, and their text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from tocsind.host.bundle import Bundle, bundle_kind

from .program import is_in_a_home, quoted

_UNITS = ("tocsind.socket", "tocsind.service")


class UnitFile(msgspec.Struct, frozen=True):
    """A file to write: its absolute path, and its text."""

    path: str
    text: str


def unit_files(program: Sequence[str], *, user: bool = False, vendor: bool = False) -> list[UnitFile]:
    """The files that `install` writes for a program (its words; the first is an absolute path).

    `user`: for a user's own service manager. `vendor`: for a package, below /usr/lib instead of /etc.
    """
    values = {
        "@EXEC@": quoted(program),
        "@NOTIFY_ACCESS@": "all" if bundle_kind() is Bundle.FILE else "main",
        "@PROTECT_HOME@": "read-only" if is_in_a_home(program) else "yes",
    }
    return [UnitFile(place, _filled(source, values)) for source, place in _places(user=user, vendor=vendor)]


def _places(*, user: bool, vendor: bool) -> list[tuple[str, str]]:
    """Each file of packaging/systemd, and its destination."""
    if user:
        base = "/usr/lib/systemd/user" if vendor else f"{_config_home()}/systemd/user"
        return [(f"user/{unit}", f"{base}/{unit}") for unit in _UNITS]
    base = "/usr/lib" if vendor else "/etc"
    return [
        *((unit, f"{base}/systemd/system/{unit}") for unit in _UNITS),
        *((f"{kind}.conf", f"{base}/{kind}.d/tocsin.conf") for kind in ("sysusers", "tmpfiles")),
    ]


def _config_home() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")


def _filled(source: str, values: dict[str, str]) -> str:
    text = _template(source)
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _template(name: str) -> str:
    """The text of a template: from the installed package, or from packaging/ in the repository."""
    packaged = files("tocsind").joinpath("service", "systemd", name)
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return Path(__file__).parents[3].joinpath("packaging", "systemd", name).read_text("utf-8")
