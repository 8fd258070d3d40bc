"""The keys by which others see that we are well: [metrics], [alarms] and [heartbeat]. Each may be left out, and then nothing is done."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from tocsind.secret import Secret

from .model import AlarmsOptions, HeartbeatOptions, MetricsOptions
from .problems import PING
from .reader import Field, Location, Mistake, read_table, shown
from .values import duration, duration_or_never, socket_path, text
from .webhooks import SecretSource, secret_url

LEAST_BEAT = 1.0  # seconds between two beats: more often tells nobody anything


def metrics(spot: Location) -> MetricsOptions:
    """Read the table `metrics`."""
    return MetricsOptions(**read_table(spot, {"listen": Field(_listen)}))


def alarms(spot: Location) -> AlarmsOptions:
    """Read the table `alarms`."""
    fields = {"breaker": Field(duration_or_never), "age": Field(duration_or_never)}
    return AlarmsOptions(**read_table(spot, fields))


def heartbeat(spot: Location) -> HeartbeatOptions:
    """Read the table `heartbeat`."""
    found = read_table(spot, _HEARTBEAT)
    sought: SecretSource = found.pop("url", SecretSource())
    if sought.reason:
        spot.at("url").warn(f"{sought.reason}: there is no heartbeat until it is")
    return HeartbeatOptions(url=_checked(spot.at("url"), sought), absent=sought.reason, **found)


def _listen(spot: Location) -> str:
    """Where to listen: a loopback address with a port, or a path. Whoever may ask is whoever is on this host."""
    where = text(spot)
    if where.startswith("/"):
        return socket_path(spot)
    match = re.fullmatch(r"(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", where)
    if match is None or int(match[2]) > 65535:
        raise Mistake(
            f'{shown(where)} is no place to listen; write it like "127.0.0.1:9464", "[::1]:9464" or "/run/a.sock"'
        )
    if match[1] != "localhost" and not _is_loopback(match[1].strip("[]")):
        raise Mistake(
            f"{shown(where)} can be reached from other hosts; only a loopback address or a Unix socket's path is taken"
        )
    return where


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        raise Mistake(f"{shown(address)} is no address") from None


def _checked(spot: Location, sought: SecretSource) -> Secret | None:
    """The URL, if it is one that a secret may be sent to. No complaint quotes any part of it."""
    if sought.secret is None:
        return None
    complaint = _complaint(sought.secret.reveal())
    if complaint:
        spot.wrong(f"{sought.called} {complaint}")
    return sought.secret


def _complaint(url: str) -> str | None:
    """The end of a sentence about it."""
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
        return "must be https: on its way anybody could read it"
    return None


def _is_this_host(host: str) -> bool:
    """Whether a name or an address in a URL is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _every(spot: Location) -> float:
    seconds = duration(spot)
    if seconds < LEAST_BEAT:
        raise Mistake(f"must be at least {LEAST_BEAT:g}s")
    return seconds


_HEARTBEAT: dict[str, Field] = {
    "url": Field(
        lambda spot: secret_url(spot, "a heartbeat's URL"), missing='missing; write it like { env = "HEARTBEAT_URL" }'
    ),
    "every": Field(_every),
    "patience": Field(duration),
}
