"""Checks the URL of a server. No message quotes any part of it: each part may be a secret."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from .reader import Location, Mistake
from .values import text

EXAMPLE = "https:// and the name of a host"


def problem_with(url: str, example: str) -> str | None:
    """The end of a sentence about the URL; None when it is right: https, or plain http to this machine."""
    try:
        parts = urlsplit(url) if re.fullmatch(r"[!-~]+", url) else None
        host = parts.hostname if parts and parts.port != 0 else None
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.scheme not in {"http", "https"}:
        return f"is no web address; it looks like {example}"
    if "@" in parts.netloc or "#" in url:
        return "must not carry a user name, a password or a fragment (#)"
    if parts.scheme == "http" and not is_this_host(host):
        return "must be https: others could read it on the way"
    return None


def is_this_host(host: str) -> bool:
    """Whether a name or an address in a URL is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


_SERVICES = {
    "discord.com": "discord",
    "discordapp.com": "discord",
    "hooks.slack.com": "slack",
    "api.telegram.org": "telegram",
    "ntfy.sh": "ntfy",
}


def other_kind(url: str, own: str) -> str | None:
    """The end of a sentence about a URL that leads to a service with a kind of its own; None when it does not, or the kind is `own`."""
    host = (urlsplit(url).hostname or "").removeprefix("ptb.").removeprefix("canary.")
    kind = _SERVICES.get(host, own)
    return None if kind == own else f'leads to a service that has a kind of its own: kind = "{kind}"'


def server(location: Location) -> str:
    """The base of a server's URLs, without a slash at its end. It may have a path."""
    url = text(location).rstrip("/")
    if problem := problem_with(url, EXAMPLE):
        raise Mistake(f"the address {problem}")
    if "?" in url:
        raise Mistake("the address must not carry a query (?)")
    return url


def host_of(url: str) -> str:
    """Host and port of a URL: what shares one rate limit."""
    return urlsplit(url).netloc.lower()
