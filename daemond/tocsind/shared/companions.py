"""Targets that share a limit are best held by one host: its limiter paces them, and its turn queue lets URGENT go first, as on one host.

The holder of the first of them, by name, is to hold the others to which it can send. Another host does not ask for those, and hands on
what it holds. This is a preference: `scopes` keeps the limit in any case. So a lease that was left and stays free is taken by any host.
"""

from __future__ import annotations

from typing import Final

from tocsind.clock import Clock

from .identity import Identity
from .scopes import Scopes
from .targets import Target, Targets

GRACE_SECONDS: Final = 1.5  # a lease that is free for longer is taken by any host
STAY_SECONDS: Final = 60.0  # and kept for so long


class Companions:
    """Says where leases belong."""

    def __init__(self, targets: Targets, scopes: Scopes, clock: Clock, identity: Identity) -> None:
        self._targets = targets
        self._scopes = scopes
        self._clock = clock
        self._identity = identity

    def belongs_elsewhere(self, target: Target) -> bool:
        """Whether another host is to hold this lease."""
        now, first = self._clock.now(), self._first(target)
        if first is target or now < target.stays_until or first.holder in {"", self._identity.name}:
            return False
        if first.holder not in target.seen or first.holder in target.outs:
            return False
        if not target.holder and now - max(target.changed_at, first.changed_at) > GRACE_SECONDS:
            target.stays_until = now + STAY_SECONDS
            return False
        return True

    def _first(self, target: Target) -> Target:
        """The first target of this host that shares a limit with this one."""
        limits = self._limits(target)
        return next(each for each in self._targets if each is target or limits & self._limits(each))

    def _limits(self, target: Target) -> set[str]:
        return self._scopes.names(self._targets.names(target))
