"""The tables [alarms] and [heartbeat]. Each is optional; without it, its feature is off (alarms: has its defaults)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from tocsind.secret import Secret

from .model import AlarmsOptions, HeartbeatOptions
from .problems import PING
from .reader import Field, Location, Mistake, read_table
from .secret_sources import SecretSource, secret_url
from .values import duration, duration_or_never

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
    problem = _url_problem(source.secret.reveal())
    if problem:
        location.wrong(f"{source.called} {problem}")
    return source.secret


def _url_problem(url: str) -> str | None:
    """The end of a sentence about the URL; None when it is right."""
    try:
        parts = urlsplit(url) if re.fullmatch(r"[!-~]+", url) else None
        host = parts.hostname if parts and parts.port != 0 else None
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.scheme not in {"http", "https"}:
        return f"is no web address; it looks like {PING}"
    if "@" in parts.netloc or "#" in url:
        return "must not carry a user name, a password or a fragment (#)"
    if parts.scheme == "http" and not _is_this_host(host):
        return "must be https: others could read it on the way"
    return None


def _is_this_host(host: str) -> bool:
    """Whether a name or an address in a URL is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


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
