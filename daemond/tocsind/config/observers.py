"""The tables [alarms] and [heartbeat]. Each is optional; without it, its feature is off (alarms: has its defaults)."""

from __future__ import annotations

from tocsind.secret import Secret

from .model import AlarmsOptions, HeartbeatOptions
from .problems import PING
from .reader import Field, Location, Mistake, read_table
from .secret_sources import SecretSource, secret_url
from .values import duration, duration_or_never
from .web_address import problem_with

MIN_HEARTBEAT_INTERVAL = 1.0  # seconds


def alarms(location: Location) -> AlarmsOptions:
    """Read the table `alarms`."""
    fields = {"breaker": Field(duration_or_never), "age": Field(duration_or_never)}
    return AlarmsOptions(**read_table(location, fields))


def heartbeat(location: Location) -> HeartbeatOptions:
    """Read the table `heartbeat`."""
    found = read_table(location, _HEARTBEAT)
    source: SecretSource = found.pop("url", SecretSource())
    if source.reason:
        location.at("url").warn(f"{source.reason}: there is no heartbeat until it is")
    return HeartbeatOptions(url=_checked(location.at("url"), source), absent=source.reason, **found)


def _checked(location: Location, source: SecretSource) -> Secret | None:
    """The URL, checked. No message quotes any part of it."""
    if source.secret is None:
        return None
    problem = problem_with(source.secret.reveal(), PING)
    if problem:
        location.wrong(f"{source.called} {problem}")
    return source.secret


def _every(location: Location) -> float:
    seconds = duration(location)
    if seconds < MIN_HEARTBEAT_INTERVAL:
        raise Mistake(f"must be at least {MIN_HEARTBEAT_INTERVAL:g}s")
    return seconds


_HEARTBEAT: dict[str, Field] = {
    "url": Field(
        lambda location: secret_url(location, "a heartbeat's URL"),
        missing='missing; write it like { env = "HEARTBEAT_URL" }',
    ),
    "every": Field(_every),
    "patience": Field(duration),
}
