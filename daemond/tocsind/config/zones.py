"""Time zones, from the database of this system.

Python reads the database in /usr/share/zoneinfo, which nearly every Linux has and keeps up to date: rules of clock changes are law, and
laws change. So no copy of it comes with tocsin; a host without one gets an error that names the package.
"""

from __future__ import annotations

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from .reader import Location, Mistake, did_you_mean, shown
from .values import text

HOST_ZONE = Path("/etc/localtime")
NO_DATABASE = "this system has no time zone database; install its package, usually called tzdata"


def zone(location: Location) -> tzinfo:
    """A zone by its name, such as "Europe/Berlin"."""
    name = text(location)
    found = _named(name)
    if found is None:
        raise Mistake(_unknown(name))
    return found


def host_zone() -> tzinfo:
    """The zone of this host: $TZ, else /etc/localtime, else UTC. Raises Mistake when $TZ names no zone of the database."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name:
        found = _named(name)
        if found is None:
            raise Mistake(f"has no `zone`, and $TZ ({shown(name)}) names no zone of the database: write zone = ...")
        return found
    try:
        with HOST_ZONE.open("rb") as file:
            return ZoneInfo.from_file(file, key="this host")
    except (OSError, ValueError):  # no such file: glibc takes UTC as well
        return UTC


def _named(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of the database
        return None


def _unknown(name: str) -> str:
    known = sorted(available_timezones())
    if not known:
        return NO_DATABASE
    hint = did_you_mean(name, known)
    if not hint.startswith("did"):
        hint = 'names look like "Europe/Berlin"; `timedatectl list-timezones` lists them'
    return f"no time zone is called {shown(name)}; {hint}"
