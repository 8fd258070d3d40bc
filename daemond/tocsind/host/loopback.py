"""Whether an HTTP request is about this host: its `Host` and its `Origin` name a loopback address.

A name of another site may resolve to 127.0.0.1 (DNS rebinding); then a browser sends that name here, and lets that site's script read the
answer. So only names that mean this host to everybody are taken: `localhost`, 127.0.0.0/8 and [::1], with any port.
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
    """Whether an `Origin` header names a page of this host. `null` does not: it may be anybody's."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and is_loopback(match[1])


def _is_loopback_name(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
