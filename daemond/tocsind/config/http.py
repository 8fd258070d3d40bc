"""The table [http]: where the daemon listens for HTTP, and the tokens that permit more than monitoring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from tocsind.secret import Secret

from .model import HttpOptions
from .reader import Field, Location, Mistake, did_you_mean, kind_of, read_into, read_table, shown
from .secret_sources import SecretSource, secret_text
from .values import socket_path, text

SHORTEST_TOKEN: Final = 8  # characters; anything shorter could be guessed through the listener itself
_TOKEN: Final = re.compile(r"[!-~]+")


def http(location: Location, destinations: Sequence[str]) -> HttpOptions:
    """Read the table `http`. `destinations` are the names that `tokens` may have."""
    fields = {
        "listen": Field(_listen, missing='missing; write it like "127.0.0.1:9464"'),
        "token": Field(_token),
        "tokens": Field(lambda below: _tokens(below, destinations)),
    }
    return HttpOptions(**read_table(location, fields))


def metrics(_: Location) -> None:
    """The table that [http] replaces."""
    raise Mistake("is now [http]: rename the table; its key `listen` is the same")


def _token(location: Location) -> Secret | None:
    """A token, or None with a warning when its source is empty. No message quotes any part of it."""
    source: SecretSource = secret_text(location, "a token")
    if source.secret is None:
        location.warn(f"{source.reason}: requests that need this token are refused until it is")
        return None
    value = source.secret.reveal()
    if len(value) < SHORTEST_TOKEN or not _TOKEN.fullmatch(value):
        raise Mistake(f"{source.called} needs {SHORTEST_TOKEN} or more letters and digits, without spaces")
    return source.secret


def _tokens(location: Location, destinations: Sequence[str]) -> Mapping[str, Secret]:
    """Destination -> its token."""
    if not isinstance(location.value, dict):
        raise Mistake(f"must be a table of destinations and their tokens, not {kind_of(location.value)}")
    found: dict[str, Secret | None] = {}
    for name in location.value:
        if name in destinations:
            read_into(found, name, location.at(name), _token)
        else:
            location.at(name).wrong(f"there is no such destination; {did_you_mean(name, destinations)}")
    return {name: token for name, token in found.items() if token is not None}


def _listen(location: Location) -> str:
    """Where to listen: a loopback address with a port, or a path. Only programs on this host can connect."""
    where = text(location)
    if where.startswith("/"):
        return socket_path(location)
    match = re.fullmatch(r"(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", where)
    if match is None or int(match[2]) > 65535:
        raise Mistake(
            f'{shown(where)} is no place to listen; write it like "127.0.0.1:9464", "[::1]:9464" or "/run/a.sock"'
        )
    if match[1] != "localhost" and not _is_loopback(match[1].strip("[]")):
        raise Mistake(
            f"{shown(where)} can be reached from other hosts; only a loopback address or a Unix socket's path is allowed"
        )
    return where


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        raise Mistake(f"{shown(address)} is no address") from None
