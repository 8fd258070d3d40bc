"""How a fake Discord is set up; the defaults are what is known of the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tocsind.http_server import Bounds
from tocsind.testing.limits import Limit, Model

WEBHOOK_LIMIT: Final = Limit(Model.FIXED, 5, 2.0)
"""What staff and support name; 5/1 and 5/5 were seen as well."""
CHANNEL_LIMIT: Final = Limit(Model.SLIDING, 30, 60.0)
"""All webhooks of a channel together, shown in no header; the strictest model, since the true one is not known."""
IP_LIMIT: Final = Limit(Model.FIXED, 50, 1.0)
INVALID_LIMIT: Final = Limit(Model.FIXED, 10_000, 600.0)
"""401, 403 and 429 (but not shared ones); beyond it Cloudflare bans the address."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that does not change while the fake runs. Seconds throughout."""

    port: int = 0
    """On 127.0.0.1; 0 takes a free one."""
    webhooks: int = 1
    channels: int | None = None
    """Webhooks are dealt to so many channels in turn; None gives each its own."""
    webhook_limit: Limit | None = WEBHOOK_LIMIT
    channel_limit: Limit | None = CHANNEL_LIMIT
    ip_limit: Limit | None = IP_LIMIT
    invalid_limit: Limit | None = INVALID_LIMIT
    scale: float = 1.0
    """Length of every limiter's window: 0.01 makes 30 per 60 s 30 per 0.6 s."""
    rate_headers: bool = True
    """Whether X-RateLimit headers are shown; they are optional on any answer."""
    latency: float = 0.0
    """Added to every answer of a webhook route."""
    clock_skew: float = 0.0
    """How far the server's wall clock is ahead: seen in Date, X-RateLimit-Reset and message times."""
    log: Path | None = None
    """Every accepted message is appended here as one JSON line."""
    keep: int = 200_000
    """Messages held in memory; the oldest are forgotten first. Counts go on."""
    bounds: Bounds = Bounds()

    def without_limits(self) -> Settings:
        """The same with every limiter off."""
        return msgspec.structs.replace(self, webhook_limit=None, channel_limit=None, ip_limit=None, invalid_limit=None)
