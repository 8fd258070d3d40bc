"""The limits of a server as they are known before its first response."""

from __future__ import annotations

from typing import NamedTuple

from .bucket import Rate

# Invalid requests. Cloudflare, before Discord, bans an address after 10,000 in so long.
GUARD = Rate(500, 600.0)

Rates = Rate | tuple[Rate, ...] | None  # of one limit; with several, each holds, and responses teach the first one


class Pace(NamedTuple):
    """None: no limit. `guard`: requests of this host that may be invalid before all others wait."""

    endpoint: Rates = None
    channel: Rates = None
    address: Rates = None
    guard: Rate | None = None
