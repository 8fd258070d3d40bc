"""What a configuration is, once nobody complained about it. Times are seconds, sizes are bytes."""

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
    """The daemon itself. `socket` and `state` are None when the file leaves them to `tocsin.paths`."""

    socket: str | None = None
    state: str | None = None
    ledger: float = 30 * 86400.0  # how long settled signals are kept
    reserve: int = 64 * 2**20  # free disk below which intake is refused, so that outcomes can still be written down
    log: str = "info"
    client_webhooks: bool = False  # whether programs of ours may lend us webhooks (tocsind.core.client_webhooks)


class MetricsOptions(msgspec.Struct, frozen=True):
    """Where `/metrics`, `/healthz` and `/readyz` are told: "127.0.0.1:9464", "[::1]:9464", or a Unix socket's path; None: nowhere."""

    listen: str | None = None


class AlarmsOptions(msgspec.Struct, frozen=True):
    """How long something must last before it raises an alarm about ourselves; None: never."""

    breaker: float | None = 120.0  # that a destination fails: shorter, and every hiccup is told
    age: float | None = 900.0  # that something waits for one destination


class HeartbeatOptions(msgspec.Struct, frozen=True):
    """Whom we tell that deliveries work. `url` is None when there is nobody; `absent` is why, if somebody was meant."""

    url: Secret | None = None
    absent: str | None = None
    every: float = 60.0
    patience: float = 300.0  # that something may be due at a destination without a success


class DiscordOptions(msgspec.Struct, frozen=True):
    """A Discord webhook in its normal form; None when its secret is not there, and then the destination is disabled."""

    webhook: Secret | None = None
    username: str | None = None  # shown instead of the webhook's own name
    deadline: float = 10.0  # for one request from connecting to the last byte
    mention: Mapping[str, tuple[str, ...]] = {}  # priority -> who is woken: "role:ID", "user:ID", "everyone", "here"
    silent: tuple[str, ...] = ()  # priorities whose messages make no sound
    webhook_limit: Rate = Rate(5, 2.0)  # what one webhook takes, until it tells us better
    channel_limit: Rate = Rate(30, 60.0)  # what a channel takes from all its webhooks together, which is told nowhere


class FileOptions(msgspec.Struct, frozen=True):
    """JSON lines in a file; a relative path lies under the state folder."""

    path: str


class DestinationOptions(msgspec.Struct, frozen=True):
    """One destination. `disabled` is the reason why it cannot be used, None when it can."""

    name: str
    kind: str
    options: DiscordOptions | FileOptions
    limit: Rate | None = None
    digest: Budgets | None = None  # None: nothing is ever merged
    fallback: tuple[str, ...] = ()
    retry: Retry = Retry()
    breaker: BreakerLimits = BreakerLimits()
    patience: Patience = Patience()
    disabled: str | None = None

    @property
    def deadline(self) -> float:
        """Seconds that one request may take; infinity where it is this machine that answers."""
        return self.options.deadline if isinstance(self.options, DiscordOptions) else inf

    @property
    def fingerprint(self) -> str:
        """Tells one far end from another without telling what it is: a short hash, which may be written down."""
        options = self.options
        secret = options.path if isinstance(options, FileOptions) else options.webhook and options.webhook.reveal()
        return _hashed(f"{self.kind} {secret}")

    @property
    def endpoint(self) -> str:
        """Tells one limited far end from another, as `fingerprint` does: threads of one webhook share it."""
        if isinstance(self.options, DiscordOptions) and self.options.webhook is not None:
            return _hashed(f"{self.kind} {self.options.webhook.reveal().partition('?')[0]}")
        return _hashed(f"{self.kind} {self.name} {self.fingerprint}")


class Config(msgspec.Struct, frozen=True):
    """All of alerts.toml. `destinations` keeps the order of the file; `warnings` are sentences that begin with their place; `problems` are
    what keeps some of it from working where it runs, and status shows them.
    """

    daemon: DaemonOptions
    priorities: Thresholds
    destinations: dict[str, DestinationOptions]
    routes: tuple[Route, ...]
    warnings: tuple[str, ...]
    source: str
    metrics: MetricsOptions = MetricsOptions()
    alarms: AlarmsOptions = AlarmsOptions()
    heartbeat: HeartbeatOptions = HeartbeatOptions()
    problems: tuple[str, ...] = ()
    places: Mapping[str, str] = {}  # file destination -> where its path stands, for sentences about it

    @property
    def fallbacks(self) -> Mapping[str, tuple[str, ...]]:
        """Destination -> its own fallbacks, as `policy.routes.chain` wants them."""
        return {name: destination.fallback for name, destination in self.destinations.items()}


def _hashed(text: str) -> str:
    return blake2s(text.encode(), digest_size=8).hexdigest()
