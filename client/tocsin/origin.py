"""What started this process, as far as the system knows: a systemd unit, or cron."""

from __future__ import annotations

from pathlib import Path

_CGROUP = Path("/proc/self/cgroup")
_CRONS = frozenset({"anacron", "cron", "crond", "fcron"})


def started_by() -> str | None:
    """`backup.service`, or `cron`; None in a session, and where the system does not say."""
    try:
        unit = unit_of(_CGROUP.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        unit = None
    name = unit.removesuffix(".service") if unit else _parent()
    return "cron" if name in _CRONS else unit


def unit_of(cgroups: str) -> str | None:
    """The unit in the text of /proc/PID/cgroup: the innermost service, unless a scope (a session, a container) is within it."""
    for line in cgroups.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers in {"", "name=systemd"}:
            units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
            if units and units[-1].endswith(".service") and not units[-1].startswith("user@"):
                return units[-1]
    return None


def _parent() -> str | None:
    """The name of the nearest parent process that is a cron daemon: between it and this process there may be a shell."""
    from os import getppid  # noqa: PLC0415 - few processes ask

    pid = getppid()
    for _ in range(3):
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            return None
        name = name.partition("(")[2].casefold()
        if name in _CRONS:
            return name
        pid = int(rest.split()[1])
    return None
