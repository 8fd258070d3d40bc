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
from tocsind.policy.pace import Pace
from tocsind.policy.patience import Patience
from tocsind.policy.quiet import QuietRule
from tocsind.policy.repeat import Repeat
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


class SharedOptions(msgspec.Struct, frozen=True):
    """The engine that several hosts share. `url` is None without one; `absent` is the reason when one was meant."""

    url: Secret | None = None
    absent: str | None = None
    ca: str | None = None  # file with certificates
    on_outage: str = "degrade"  # or "hold": what URGENT and HIGH do while the engine is away


class Options(msgspec.Struct, frozen=True):
    """The keys of one kind. Each kind has a subclass in `config.kinds`, and overrides what differs from a file on this machine."""

    @property
    def deadline(self) -> float:
        """Seconds that one request may take; infinity for a destination on this machine."""
        return inf

    @property
    def identity(self) -> str:
        """The far end as text. It may contain a secret: only its hash is stored."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str | None:
        """As `identity`, for rate limits: what shares one limit. None: the destination has limits of its own."""
        return None

    @property
    def address(self) -> str | None:
        """The server (host and port) whose blocks are shared by all destinations there. None: the kind is one service."""
        return None

    @property
    def pace(self) -> Pace:
        """The server's limits as they are known before its first response."""
        return Pace()

    @property
    def url(self) -> Secret | None:
        """A URL that requests go to: network settings may make it unreachable. None without HTTP."""
        return None

    @property
    def path(self) -> str | None:
        """The file that is written to; None for all other kinds."""
        return None

    @property
    def mention(self) -> Mapping[str, tuple[str, ...]]:
        """Priority -> mentions."""
        return {}

    @property
    def silent(self) -> tuple[str, ...]:
        """Priorities whose messages make no sound."""
        return ()


class DestinationOptions(msgspec.Struct, frozen=True):
    """One destination. `disabled` is the reason why it cannot be used, None when it can."""

    name: str
    kind: str
    options: Options
    limit: Rate | None = None
    digest: Budgets | None = None  # None: no digests
    fallback: tuple[str, ...] = ()
    retry: Retry = Retry()
    breaker: BreakerLimits = BreakerLimits()
    patience: Patience = Patience()
    repeat: Repeat | None = None  # None: nothing is repeated
    disabled: str | None = None
    may_share: bool = True  # `shared = false`: this host alone sends to it, whatever others do

    @property
    def is_shared(self) -> bool:
        """Whether hosts with a common engine send to it together: a network kind that works here."""
        return self.may_share and self.disabled is None and self.kind != "exec" and self.deadline < inf

    @property
    def deadline(self) -> float:
        """Seconds that one request may take; infinity for a destination on this machine."""
        return self.options.deadline

    @property
    def fingerprint(self) -> str:
        """A short hash of the far end, which may be stored: it distinguishes far ends without revealing a secret."""
        return _hashed(f"{self.kind} {self.options.identity}")

    @property
    def endpoint(self) -> str:
        """As `fingerprint`, for rate limits: threads of one webhook share it."""
        return _hashed(f"{self.kind} {self.options.endpoint or f'{self.name} {self.fingerprint}'}")

    @property
    def address(self) -> str:
        """The name of the limit that all destinations at the same server share."""
        return f"{self.kind}:{self.options.address}" if self.options.address else self.kind


class ExpectOptions(msgspec.Struct, frozen=True):
    """A program that is expected to beat. `to` is empty when the routes decide."""

    name: str
    every: float
    grace: float
    priority: str = "high"
    to: tuple[str, ...] = ()


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
    expect: tuple[ExpectOptions, ...] = ()
    shared: SharedOptions = SharedOptions()
    problems: tuple[str, ...] = ()
    quiet: tuple[QuietRule, ...] = ()
    places: Mapping[str, str] = {}  # file destination -> the place of its path in the file, for messages

    @property
    def fallbacks(self) -> Mapping[str, tuple[str, ...]]:
        """Destination -> its own fallbacks, for `policy.routes.chain`."""
        return {name: destination.fallback for name, destination in self.destinations.items()}


def _hashed(text: str) -> str:
    return blake2s(text.encode(), digest_size=8).hexdigest()
