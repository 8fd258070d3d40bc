"""Checks that an HTTP request is meant for this host: its `Host` and its `Origin` name a loopback address.

The name of another site may resolve to 127.0.0.1 (DNS rebinding). Then a browser sends that name here, and lets that site's script read
the answer. So only names that always mean the local host are accepted: `localhost`, 127.0.0.0/8 and [::1], with any port.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://(.+)", re.ASCII)


def is_loopback(authority: str) -> bool:
    """Whether `host` or `host:port` is a loopback name."""
    match = _AUTHORITY.fullmatch(authority)
    return match is not None and _is_loopback_name(match[1])


def is_loopback_origin(origin: str) -> bool:
    """Whether an `Origin` header names a page of this host. `null` does not: any page may send it."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and is_loopback(match[1])


def _is_loopback_name(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
