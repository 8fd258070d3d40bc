"""The network settings around the daemon: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE, SSL_CERT_DIR, in either case.

httpx would read them too (`trust_env`), all at once and for all clients: one entry of NO_PROXY that it does not take for a URL
(`::1/128`), or a proxy that nothing needs, is an exception. A container's settings must not take the daemon down, so they are read here,
one by one:

    an entry of NO_PROXY that cannot be read        is left out, with a warning
    a proxy that cannot be used                     matters to the destinations that it would serve, and to no others
    certificates that cannot be used                matter to what is asked over TLS

Which proxy serves a URL: none for a loopback host, none for what NO_PROXY names; else that of the URL's scheme, else ALL_PROXY. An empty
lower-case variable switches its upper-case twin off. NO_PROXY is a list, separated by commas or blanks, of names (`example.com` with
everything below it, `.example.com` and `*.example.com` only what is below), addresses, networks (`10.0.0.0/8`, `::1/128`), each with a port
or a scheme if so wanted, or `*` for everything. Names are never resolved for it.

Reasons name the variable and never show a password.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from tocsind.config import Config, DestinationOptions
from tocsind.secret import Secret

_NAME: Final = re.compile(r"(?:\*?\.)?[\w-]+(?:\.[\w-]+)*\.?")
_BRACKETS: Final = re.compile(r"\[([^\[\]]+)\](/\d+)?(?::(\d+))?")
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")  # how OpenSSL finds a certificate in a folder
_PORTS: Final = {"http": 80, "https": 443}
_SOCKS: Final = frozenset({"socks5", "socks5h"})
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxy(msgspec.Struct, frozen=True):
    """A proxy, and the variable that names it; `problem` is why it cannot be used."""

    variable: str
    url: Secret
    problem: str | None = None


class Exempt(msgspec.Struct, frozen=True):
    """An entry of NO_PROXY: a network, or a name with what lies below it."""

    network: _Network | None = None
    name: str = ""
    itself: bool = True  # whether the name itself is meant, and not only what lies below
    port: int | None = None
    scheme: str | None = None

    def covers(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether this is asked directly; `host` without brackets."""
        if self.scheme not in {None, scheme} or self.port not in {None, port}:
            return False
        if self.network is not None:
            return _is_in(host, self.network)
        return (self.itself and host == self.name) or host.endswith(f".{self.name}")


class NetworkSettings:
    """The settings as they are at one time."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = dict(os.environ if variables is None else variables)
        self._exempt: list[Exempt] = []
        self.unread: list[str] = []  # entries of NO_PROXY
        variable, value = self._setting("no")
        entries = [entry for entry in re.split(r"[,\s]+", value) if entry]
        self.is_direct = "*" in entries
        for entry in entries:
            if entry != "*":
                self._add(entry)
        self._proxies = {what: self._proxy(what) for what in ("http", "https", "all")}
        self.warnings = tuple(f"{variable}: {entry} cannot be read, and is left out" for entry in self.unread)

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy that serves a URL; None: it is asked directly."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _PORTS.get(parts.scheme)
        if self.is_direct or is_loopback(host) or any(each.covers(parts.scheme, host, port) for each in self._exempt):
            return None
        return self._proxies.get(parts.scheme) or self._proxies["all"]

    def problem_with(self, url: str) -> str | None:
        """Why a URL cannot be asked; None when nothing here speaks against it. It may read certificates from the disk."""
        proxy = self.proxy_for(url)
        if proxy and proxy.problem:
            return proxy.problem
        return self.certificate_problem() if url.startswith("https:") else None

    def certificate_problem(self) -> str | None:
        """Why nothing can be asked over TLS."""
        try:
            self.tls()
        except OSError as error:
            variable = self._certificates()
            return f"{variable} {_why_no_certificates(variable, error)}"
        return None

    def tls(self) -> ssl.SSLContext:
        """What trusts whom these settings say. Raises OSError."""
        match self._certificates():
            case "SSL_CERT_FILE":
                return ssl.create_default_context(cafile=self._variables["SSL_CERT_FILE"])
            case "SSL_CERT_DIR":
                folders = self._variables["SSL_CERT_DIR"]
                if not any(_holds_certificates(folder) for folder in folders.split(os.pathsep)):
                    raise FileNotFoundError("no certificates")  # OpenSSL would only find out at each handshake
                return ssl.create_default_context(capath=folders)
            case _:
                import certifi  # noqa: PLC0415 - `check` needs it for nothing else

                return ssl.create_default_context(cafile=certifi.where())

    def _certificates(self) -> str:
        """The variable that names them; empty: those that come along."""
        return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if self._variables.get(name)), "")

    def _setting(self, what: str) -> tuple[str, str]:
        """A variable and its value; the lower-case one decides when it is there."""
        lower, upper = f"{what}_proxy", f"{what.upper()}_PROXY"
        if lower in self._variables:
            return lower, self._variables[lower].strip()
        if what == "http" and "REQUEST_METHOD" in self._variables:
            return upper, ""  # of a CGI script: the far end could set it with a header
        return upper, self._variables.get(upper, "").strip()

    def _proxy(self, what: str) -> Proxy | None:
        variable, value = self._setting(what)
        if not value:
            return None
        url = value if "://" in value else f"http://{value}"
        problem = _problem(url)
        return Proxy(variable, Secret(url), problem and f"{variable} {problem}")

    def _add(self, entry: str) -> None:
        exempt = _exempt(entry)
        if exempt is None:
            self.unread.append(entry)
        else:
            self._exempt.append(exempt)


def within(config: Config, environment: NetworkSettings | None = None) -> Config:
    """The configuration as it can be in these settings: destinations that cannot be asked are disabled, and say why."""
    around = NetworkSettings() if environment is None else environment
    destinations = {name: _as_reachable(each, around) for name, each in config.destinations.items()}
    problems = [
        f"{name} is disabled: {each.disabled}"
        for name, each in destinations.items()
        if each != config.destinations[name]
    ]
    warnings = [each for each in (*around.warnings, *problems) if each not in config.warnings]
    return msgspec.structs.replace(
        config,
        destinations=destinations,
        warnings=(*config.warnings, *warnings),
        problems=(*config.problems, *problems),
    )


def _as_reachable(options: DestinationOptions, around: NetworkSettings) -> DestinationOptions:
    url = options.options.url
    if options.disabled is not None or url is None:
        return options
    trouble = around.problem_with(url.reveal())
    return options if trouble is None else msgspec.structs.replace(options, disabled=trouble)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _problem(url: str) -> str | None:
    """What is wrong with a proxy's URL, in words that do not hold it."""
    try:
        parts = urlsplit(url)
        place = _shown(parts)
    except ValueError:
        return "is no URL of a proxy (what is special in a user or password must be percent-encoded)"
    if parts.scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        return f"names a SOCKS proxy ({place}), which needs the Python package socksio: pip install 'httpx[socks]'"
    if parts.scheme not in _PORTS and parts.scheme not in _SOCKS:
        return f"names a proxy ({place}) that is none of http, https, socks5 and socks5h"
    if not _NAME.fullmatch(parts.hostname or "") and ":" not in (parts.hostname or ""):
        return "names a proxy without a host that can be read"
    return None


def _shown(parts: SplitResult) -> str:
    """Where a proxy is, without user and password. Raises ValueError for a port that is none."""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def _why_no_certificates(variable: str, error: OSError) -> str:
    if variable == "SSL_CERT_DIR":
        return "names no folder with certificates under hashed names (`openssl rehash` makes them)"
    if isinstance(error, ssl.SSLError) or error.strerror is None:
        return "names a file without certificates that can be read"
    return f"names a file that cannot be read: {error.strerror}"


def _holds_certificates(folder: str) -> bool:
    try:
        return any(_HASHED.fullmatch(path.name) for path in Path(folder).iterdir())
    except OSError:
        return False


def _exempt(entry: str) -> Exempt | None:
    """What an entry of NO_PROXY means; None when that is nothing."""
    before, separator, rest = entry.lower().rpartition("://")
    if separator and before not in {"http", "https", "all"}:
        return None
    host, port = _split(rest)
    scheme = None if before in {"", "all"} else before
    network = _network(host)
    if network is not None:
        return Exempt(network, port=port, scheme=scheme)
    if not _NAME.fullmatch(host):
        return None
    name = host.strip("*").strip(".")
    return Exempt(name=name, itself=host[0] not in "*.", port=port, scheme=scheme)


def _split(host: str) -> tuple[str, int | None]:
    """A host with its network's length, and a port."""
    if found := _BRACKETS.fullmatch(host):
        return found[1] + (found[2] or ""), int(found[3]) if found[3] else None
    name, separator, port = host.rpartition(":")
    if separator and ":" not in name and port.isdecimal():
        return name, int(port)
    return host, None


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_in(host: str, network: _Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
