"""Hosts that do not get through: which one should hold a lease, and which deliveries wait for others in vain.

Each host tells the engine with its lease requests what keeps it from sending (`Out`, by far end). Two things follow.

    The lease moves. A holder whose trouble may be its own gives the lease back after LEAVE_SECONDS, if a host was seen of which no such
    trouble is known. It is passed over for a minute, and twice as long each time until it has held a lease in health; so a lease moves
    rarely where each host fails now and then, and stays where all fail.

    Patience is counted by the host that accepted. It knows since when the holder does not get through, since when there is no holder, and
    since when the engine is away; its own configuration has the patience and the fallbacks. It takes the delivery out of the engine
    first, if no attempt is open. For hosts that are gone the holder does so.
"""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

from tocsind.clock import Clock
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import ShutOut, Trouble

from .identity import Identity
from .outs import Out, Outs, is_local
from .targets import Target, Targets

LEAVE_SECONDS: Final = 5.0
UNHELD_SECONDS: Final = 3.0  # without a holder until that counts: a lease, and a host that asks for it
PASSED_OVER_SECONDS: Final = 60.0
MOST_SECONDS: Final = 600.0


class Lanes(Protocol):
    """The part of the lanes that this module uses."""

    def trouble(self, name: str) -> Trouble | None:
        """Why a lane does not deliver; None when nothing is known against it."""

    def stand_by(self, name: str, shut_out: ShutOut | None, *, sends: bool) -> None:
        """Whether this host sends to a destination, and why the other hosts do not send for it."""


class Troubles:
    """The troubles that this host reports, and its steps because of those of others."""

    def __init__(self, targets: Targets, lanes: Lanes, clock: Clock, identity: Identity) -> None:
        self.targets = targets
        self._lanes = lanes
        self._clock = clock
        self._identity = identity

    def own(self, target: Target) -> dict[str, Out]:
        """Reasons why this host cannot send, or could not of late."""
        ahead = self.targets.offset + self._clock.steady() - self._clock.now()
        found = dict(target.passed_over) if self._clock.now() < target.passed_until else {}
        for name in self.targets.names(target):
            if trouble := self._lanes.trouble(name):
                far = self.targets.far_of(name)
                found[far] = Out(trouble.since + ahead, trouble.reason, trouble.is_local, trouble.is_final)
        return found

    def may_hold(self, target: Target, own: Outs) -> bool:
        """Whether this host asks for the lease: it gets through as far as is known, or no other one does."""
        return not is_local(own) or not target.others(self._identity.name)

    def should_leave(self, target: Target, own: Outs) -> bool:
        """Whether this host, which holds the lease, gives it back now."""
        now = self._clock.now()
        if not is_local(own):
            if target.bad_since is None and now - target.held_since > PASSED_OVER_SECONDS:
                target.times_left = 0
            target.bad_since = None
            return False
        target.bad_since = now if target.bad_since is None else target.bad_since
        is_due = any(out.is_final for out in own.values()) or now - target.bad_since >= LEAVE_SECONDS
        if not is_due or target.requests or not target.others(self._identity.name):
            return False
        target.passed_over, target.bad_since = dict(own), None
        target.passed_until = now + min(PASSED_OVER_SECONDS * 2**target.times_left, MOST_SECONDS)
        target.times_left += 1
        return True

    def stand_by(self, target: Target) -> None:
        """Tell the lanes whether they send, and why other hosts do not send for them."""
        now = self._clock.now()
        holds, is_degraded = target.holds(now), self.targets.is_degraded(now)
        for name in self.targets.names(target):
            self._lanes.stand_by(name, None if holds else self._shut_out(target, name), sends=holds or is_degraded)

    def _shut_out(self, target: Target, name: str) -> ShutOut | None:
        now, away = self._clock.now(), self.targets.away_since
        held_until = now if target.held_until is None or away is not None else target.held_until
        if away is not None and self.targets.is_away(now):
            waits = (Priority.NORMAL, Priority.LOW) if self.targets.degrades else tuple(Priority)
            reason = f"the engine that hosts share {self.targets.away.cause.says}"
            target.shut_out[name] = ShutOut(away, reason, waits)
            target.held_until = now  # later times without a holder count from its return
        elif away is None and target.holder:
            out = target.outs.get(target.holder, {}).get(self.targets.far_of(name))
            target.shut_out[name] = self._shut_out_by(target, out) if out else None
        elif now - held_until > UNHELD_SECONDS:
            target.shut_out[name] = target.shut_out.get(name) or ShutOut(held_until, "no host sends to it")
        return target.shut_out.get(name)

    def _shut_out_by(self, target: Target, out: Out) -> ShutOut:
        """Because of the holder's trouble. A final one ends all patience, unless another host gets through and takes the lease."""
        reason = f"{target.holder} sends for this host, and does not get through: {out.reason}"
        if out.is_final and not target.others(target.holder):
            return ShutOut(-inf, reason)
        return ShutOut(round(out.since - self.targets.offset + self._clock.now() - self._clock.steady(), 1), reason)
