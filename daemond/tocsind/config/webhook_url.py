"""Checks a webhook URL, and brings it into its normal form: https://discord.com/api/v10/webhooks/ID/TOKEN, with a thread if there is one.

URLs from Discord's pages have no version, and Discord then uses the oldest one, where `retry_after` has other units: so every path is
rewritten. The host decides about trust: discord.com must be https; a loopback address may be plain http, for tests and proxies; any other
host must be https, and the file must say `allow-host = true`. No message quotes any part of the URL: each part may be the secret.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import SplitResult, parse_qsl, urlsplit

from .problems import WEBHOOK as _SHAPE
from .web_address import other_kind

DISCORD = "discord.com"
_ALSO_DISCORD = {f"{branch}{name}" for name in ("discord.com", "discordapp.com") for branch in ("", "ptb.", "canary.")}
_PATH = re.compile(r"/api(?:/v[0-9]{1,3})?/webhooks/([0-9]{1,20})/([A-Za-z0-9_-]{1,200})(?:/slack|/github)?/?")
_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_WRAPPINGS = (
    ('"', '"', "quotes"),
    ("'", "'", "quotes"),
    ("\u201c", "\u201d", "quotes"),
    ("\u2018", "\u2019", "quotes"),
    ("<", ">", "angle brackets"),
    ("`", "`", "backquotes"),
    ("(", ")", "brackets"),
)


def normalise(url: str, *, allow_host: bool = False) -> str:
    """The normal form of a webhook URL. Raises ValueError with the end of a sentence about the URL, which quotes no part of it."""
    parts = _split(url)
    origin = _origin(parts, allow_host=allow_host)
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise ValueError(f"is no webhook path; it looks like {_SHAPE}")
    return f"{origin}/api/v10/webhooks/{match[1]}/{match[2]}{_thread(parts.query)}"


def _split(url: str) -> SplitResult:
    _check_wrapping(url)
    if not re.fullmatch(r"[!-~]+", url):  # urlsplit would silently drop line breaks
        raise ValueError(f"is no URL: it is empty, or has spaces or foreign characters in it; it looks like {_SHAPE}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - the property is where urlsplit finds out
    except ValueError:
        raise ValueError(f"is no URL; it looks like {_SHAPE}") from None  # the original text quotes the URL
    if "://" not in url and re.match(r"(//|[a-z.]*discord(app)?\.com/)", url):
        raise ValueError(f"lacks https:// at its beginning; it looks like {_SHAPE}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"is no web address; it looks like {_SHAPE}")
    if "@" in parts.netloc:
        raise ValueError("must not carry a user name or password")
    if "#" in url:
        raise ValueError("must not carry a fragment (#)")
    return parts


def _check_wrapping(url: str) -> None:
    """Raises ValueError for a URL that was copied together with quotes or brackets."""
    for left, right, what in _WRAPPINGS:
        if url.startswith(left) or url.endswith(right):
            raise ValueError(
                f"is wrapped in {what} ({left}...{right}), which do not belong to it; it looks like {_SHAPE}"
            )


def _origin(parts: SplitResult, *, allow_host: bool) -> str:
    host = parts.hostname or ""
    if host in _ALSO_DISCORD:
        if parts.scheme != "https" or parts.port not in {None, 443}:
            raise ValueError("must be https on Discord's own port: anything else would give the token away")
        return f"https://{DISCORD}"
    if other := other_kind(parts.geturl(), "discord"):
        raise ValueError(other)
    if not (_is_loopback(host) or allow_host):
        raise ValueError("is on a host that is neither discord.com nor this machine; allow-host = true permits that")
    if parts.scheme != "https" and not _is_loopback(host):
        raise ValueError("must be https on another machine: others could read the token on the way")
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{_written_host(host)}{port}"


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback and "%" not in host)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    for family in (IPv4Address, IPv6Address):
        try:
            return family(host)
        except AddressValueError:
            continue
    return None


def _written_host(host: str) -> str:
    address = _address(host)
    if isinstance(address, IPv6Address) and "%" not in host:
        return f"[{address.compressed}]"
    if address is None and not _HOST_NAME.fullmatch(host):
        raise ValueError("has a host name that no host can have")
    return host


def _thread(query: str) -> str:
    """The thread, as a query; all other parameters are the daemon's to set."""
    threads = [value for key, value in parse_qsl(query, keep_blank_values=True) if key == "thread_id"]
    if not threads:
        return ""
    if len(threads) > 1 or not re.fullmatch(r"[0-9]{1,20}", threads[0]):
        raise ValueError("has a thread_id that is no number")
    return f"?thread_id={threads[0]}"
