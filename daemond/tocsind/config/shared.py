"""The table [shared]: the engine by which several hosts share channels, and what a host does while it is away."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from tocsind.secret import Secret

from .model import SharedOptions
from .problems import ENGINES
from .reader import Field, Location, Mistake, read_table
from .secret_sources import SecretSource, secret_url
from .values import one_of, text
from .web_address import is_this_host

ON_OUTAGE = ("degrade", "hold")
_PORT = 6379
_SENTINEL_PORT = 26379
NOT_INSTALLED = "redis is not installed: pip install 'tocsin[shared]'"


class EngineAddress(msgspec.Struct, frozen=True):
    """Where the engine listens: `path` of a Unix socket, or host and port; and what it wants to know first."""

    host: str = ""
    port: int = _PORT
    path: str | None = None
    tls: bool = False
    user: str | None = None
    password: Secret | None = None
    database: int = 0
    ca: str | None = None  # file with the certificates of who may have signed the engine's
    service: str | None = None  # as Sentinel calls it; then these are asked where it is
    sentinels: tuple[tuple[str, int], ...] = ()
    sentinel_password: Secret | None = None

    @property
    def is_near(self) -> bool:
        """Whether nothing of it crosses a network."""
        hosts = [host for host, _ in self.sentinels] or [self.host]
        return self.path is not None or all(map(is_this_host, hosts))

    @property
    def name(self) -> str:
        """The address as people may see it: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        scheme = "rediss" if self.tls else "redis"
        if self.service:
            return f"{scheme}+sentinel://{','.join(f'{host}:{port}' for host, port in self.sentinels)}/{self.service}"
        return f"{scheme}://{self.host}:{self.port}"


def shared(location: Location) -> SharedOptions:
    """Read the table `shared`."""
    found = read_table(location, _SHARED)
    source: SecretSource = found.pop("url", SecretSource())
    below = location.at("url")
    absent = source.reason or (None if find_spec("redis") else NOT_INSTALLED)
    if absent:
        below.warn(f"{absent}: this host shares nothing until it is")
        return SharedOptions(absent=absent, **found)
    if source.secret is None:
        return SharedOptions(**found)
    address = address_of(source.secret.reveal())
    if address is None:
        below.wrong(f"{source.called} is no address of an engine; it looks like {' or '.join(ENGINES)}")
        return SharedOptions(**found)
    for each in _risks(address):
        below.warn(each)
    if "ca" in found and not address.tls:
        location.at("ca").warn("without TLS it has no effect; the URL begins with rediss://")
    return SharedOptions(url=source.secret, **found)


def address_of(url: str) -> EngineAddress | None:
    """The parts of an engine's URL; None when it is none."""
    try:
        parts = urlsplit(url) if re.fullmatch(r"[!-~]+", url) else None
        return _address(parts) if parts else None
    except ValueError:
        return None


def _address(parts: SplitResult) -> EngineAddress | None:
    user = unquote(parts.username) if parts.username else None
    password = Secret(unquote(parts.password)) if parts.password else None
    if parts.scheme == "unix" and parts.path.startswith("/"):
        number = parse_qs(parts.query).get("db", ["0"])[0]
        return EngineAddress(path=unquote(parts.path), user=user, password=password, database=int(number))
    if parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0:
        number, tls = parts.path.strip("/") or "0", parts.scheme == "rediss"
        return EngineAddress(parts.hostname, parts.port or _PORT, None, tls, user, password, int(number))
    if parts.scheme in {"redis+sentinel", "rediss+sentinel"}:
        service, _, number = parts.path.strip("/").partition("/")
        if not service:
            return None
        return EngineAddress(
            tls=parts.scheme.startswith("rediss"),
            user=user,
            password=password,
            database=int(number or 0),
            service=unquote(service),
            sentinels=_sentinels(parts.netloc.rpartition("@")[2]),
            sentinel_password=_sentinel_password(parts.query),
        )
    return None


def _sentinels(text: str) -> tuple[tuple[str, int], ...]:
    """The addresses HOST:PORT,HOST:PORT. Raises ValueError."""
    found = [urlsplit(f"//{each}") for each in text.split(",")]
    if not all(each.hostname and each.port != 0 for each in found):
        raise ValueError("an address of a sentinel is missing")
    return tuple((each.hostname or "", each.port or _SENTINEL_PORT) for each in found)


def _sentinel_password(query: str) -> Secret | None:
    found = parse_qs(query).get("sentinel-password")
    return Secret(found[0]) if found else None


def _risks(address: EngineAddress) -> Sequence[str]:
    if address.is_near:
        return ()
    risks = (
        []
        if address.tls
        else ["without TLS others can read every alert on the way; better: an address that begins with rediss:"]
    )
    if address.password is None:
        risks.append("without a password every program that reaches the engine can read and change what waits")
    return risks


def _certificates(location: Location) -> str:
    """A file with certificates."""
    path = text(location)
    if not Path(path).is_absolute():
        raise Mistake("begins with /, because the daemon has a working folder of its own")
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # SSLError is one
        raise Mistake(f"{path} holds no certificates: {error.strerror or error}") from None
    return path


_SHARED: dict[str, Field] = {
    "url": Field(
        lambda location: secret_url(location, "an engine's URL"),
        missing='missing; write it like { env = "TOCSIN_REDIS" }',
    ),
    "ca": Field(_certificates),
    "on-outage": Field(one_of(ON_OUTAGE, "way through an outage")),
}
