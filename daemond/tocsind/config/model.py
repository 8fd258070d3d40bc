"""A valid configuration. Times are seconds, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2s
from math import inf

import msgspec

from tocsind.policy.backoff import Retry
from tocsind.policy.breaker import BreakerLimits
from tocsind.policy.bucket import Rate
from tocsind.policy.digest import Budgets
from tocsind.policy.patience import Patience
from tocsind.policy.routes import Route, Thresholds
from tocsind.secret import Secret


class DaemonOptions(msgspec.Struct, frozen=True):
    """The daemon itself. `socket` and `state` are None when the file does not set them; then `tocsin.paths` decides."""

    socket: str | None = None
    state: str | None = None
    ledger: float = 30 * 86400.0  # how long settled signals are kept
    reserve: int = 64 * 2**20  # free disk space below which signals are refused, so that outcomes can still be recorded
    log: str = "info"
    client_webhooks: bool = False  # whether clients may add webhooks (tocsind.core.client_webhooks)


class HttpOptions(msgspec.Struct, frozen=True):
    """Where the daemon listens for HTTP: "127.0.0.1:9464", "[::1]:9464", or a Unix socket's path; None: nowhere. Without tokens only
    `/metrics`, `/healthz` and `/readyz` answer.
    """

    listen: str | None = None
    token: Secret | None = None  # permits everything
    tokens: Mapping[str, Secret] = {}  # destination -> the token that permits sending to it, and nothing else


class AlarmsOptions(msgspec.Struct, frozen=True):
    """How long a condition must last before it raises an alarm; None: never."""

    breaker: float | None = 120.0  # a destination fails; a shorter time would report every short failure
    age: float | None = 900.0  # a delivery waits for its destination


class HeartbeatOptions(msgspec.Struct, frozen=True):
    """The external monitor that gets pings. `url` is None without one; `absent` is the reason when one was meant."""

    url: Secret | None = None
    absent: str | None = None
    every: float = 60.0
    patience: float = 300.0  # how long a delivery may be due at a destination without a success


class DiscordOptions(msgspec.Struct, frozen=True):
    """A Discord webhook, in its normal form; None when its secret is not there, and then the destination is disabled."""

    webhook: Secret | None = None
    username: str | None = None  # shown instead of the webhook's own name
    deadline: float = 10.0  # of one request, from connecting to the last byte
    mention: Mapping[str, tuple[str, ...]] = {}  # priority -> mentions: "role:ID", "user:ID", "everyone", "here"
    silent: tuple[str, ...] = ()  # priorities whose messages make no sound
    webhook_limit: Rate = Rate(5, 2.0)  # of one webhook, until its answers say otherwise
    channel_limit: Rate = Rate(30, 60.0)  # of a channel, for all its webhooks together; no answer states it


class FileOptions(msgspec.Struct, frozen=True):
    """JSON lines in a file; a relative path is below the state folder."""

    path: str


class DestinationOptions(msgspec.Struct, frozen=True):
    """One destination. `disabled` is the reason why it cannot be used, None when it can."""

    name: str
    kind: str
    options: DiscordOptions | FileOptions
    limit: Rate | None = None
    digest: Budgets | None = None  # None: no digests
    fallback: tuple[str, ...] = ()
    retry: Retry = Retry()
    breaker: BreakerLimits = BreakerLimits()
    patience: Patience = Patience()
    disabled: str | None = None

    @property
    def deadline(self) -> float:
        """Seconds that one request may take; infinity for a destination on this machine."""
        return self.options.deadline if isinstance(self.options, DiscordOptions) else inf

    @property
    def fingerprint(self) -> str:
        """A short hash of the far end, which may be stored: it distinguishes far ends without revealing a secret."""
        options = self.options
        secret = options.path if isinstance(options, FileOptions) else options.webhook and options.webhook.reveal()
        return _hashed(f"{self.kind} {secret}")

    @property
    def endpoint(self) -> str:
        """As `fingerprint`, for rate limits: threads of one webhook share it."""
        if isinstance(self.options, DiscordOptions) and self.options.webhook is not None:
            return _hashed(f"{self.kind} {self.options.webhook.reveal().partition('?')[0]}")
        return _hashed(f"{self.kind} {self.name} {self.fingerprint}")


class Config(msgspec.Struct, frozen=True):
    """All of alerts.toml. `destinations` has the order of the file; `warnings` are sentences that begin with their place; `problems` are
    the parts that cannot work on this machine, for the status.
    """

    daemon: DaemonOptions
    priorities: Thresholds
    destinations: dict[str, DestinationOptions]
    routes: tuple[Route, ...]
    warnings: tuple[str, ...]
    source: str
    http: HttpOptions = HttpOptions()
    alarms: AlarmsOptions = AlarmsOptions()
    heartbeat: HeartbeatOptions = HeartbeatOptions()
    problems: tuple[str, ...] = ()
    places: Mapping[str, str] = {}  # file destination -> the place of its path in the file, for messages

    @property
    def fallbacks(self) -> Mapping[str, tuple[str, ...]]:
        """Destination -> its own fallbacks, for `policy.routes.chain`."""
        return {name: destination.fallback for name, destination in self.destinations.items()}


def _hashed(text: str) -> str:
    return blake2s(text.encode(), digest_size=8).hexdigest()
