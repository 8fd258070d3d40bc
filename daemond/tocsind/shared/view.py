"""Views of the hosts together: the part `shared` of the status, the notes of all hosts, and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Final

import msgspec

from tocsind.clock import Clock
from tocsind.journal import Journal, shared_view
from tocsind.secret import redacted_struct

from .engine import LEASE_MS, Cause, EngineAway
from .identity import Identity
from .naming import Copied
from .presence import Part, Presence
from .targets import Target, Targets

_SHARE: Final = 20  # counting takes at most one part in so many of the time
_OLDEST: Final = 5.0  # s, whatever it takes


class EngineState(msgspec.Struct, frozen=True):
    """How the engine is. `away` is None while it can be used; `then` is what happens to deliveries while it cannot. Times are monotonic."""

    name: str
    away: EngineAway | None
    then: str
    complaints: Sequence[str] = ()
    forgot_at: float | None = None
    strange: int = 0
    quarantined: int = 0
    copied: Copied | None = None


class View:
    """For observers. `engine` is asked at each look."""

    def __init__(
        self,
        engine: Callable[[], EngineState],
        presence: Presence,
        targets: Targets,
        journal: Journal,
        clock: Clock,
        *,
        identity: Identity,
    ) -> None:
        self._engine = engine
        self._targets = targets
        self._journal = journal
        self._clock = clock
        self._identity = identity
        self.presence = presence
        self._counts: Sequence[shared_view.Waiting] = ()
        self._counted, self._took = -inf, 0.0

    async def part(self) -> tuple[dict[str, Any], list[str]]:
        """The part `shared` of the status, and its problems."""
        now, engine = self._clock.now(), self._engine()
        is_away, counts = self._targets.is_away(now), await self._count()
        lanes = [_lane(self._targets, target, now, counts, is_away=is_away) for target in self._targets]
        return {
            "host": self._identity.name,
            "engine": engine.name,
            "on_outage": "degrade" if self._targets.degrades else "hold",
            **self._outage(engine.away, now),
            "forgot_seconds": _ago(engine.forgot_at, now),
            "complaints": list(engine.complaints),
            "quarantined": engine.quarantined,
            "called_before": engine.copied.before if engine.copied else None,
            "lanes": lanes,
        }, _problems(engine, is_away=is_away)

    def _outage(self, away: EngineAway | None, now: float) -> dict[str, Any]:
        """Whether the engine can be used, as it stands after its name; since when not, why as a word for programs, and what it said."""
        return {
            "engine_state": away.cause.says if away else "answers",
            "away_seconds": _ago(self._targets.away_since, now) if away else None,
            "cause": away.cause.word if away else None,
            "reason": away.detail or away.cause.says if away else None,
        }

    def tell_story(self, delivery: dict[str, Any]) -> None:
        """Add to a delivery in `why` whether it was accepted here, and who would send it now."""
        target, is_open = self._targets.of(delivery["destination"]), delivery["state"] in {"queued", "held"}
        told = delivery.get("shared")
        if told is None:
            if target is None or not is_open:
                return
            told = dict.fromkeys(("stage", "since", "sent_by", "note")) | {"accepted_by": self._identity.name}
            delivery["shared"] = told
        told["here"] = told["accepted_by"] == self._identity.name
        told["sends"] = self._who_sends(target) if target and is_open else None

    def _who_sends(self, target: Target) -> str:
        now, engine = self._clock.now(), self._engine()
        if target.holds(now):
            return "this host sends"
        if outage := _outage_of(engine, is_away=self._targets.is_away(now)):
            return outage
        return f"{target.holder} sends" if target.holder else "no host sends at present"

    async def hosts(self) -> dict[str, Any]:
        """Every host that the engine knows; the last known ones while it is away."""
        counts = await self._count()
        age, failed, hosts = await self.presence.view(self._part(counts))
        engine, now = self._engine(), self._clock.now()
        answer = {
            "schema": 1,
            "engine": engine.name,
            **self._outage(engine.away or failed, now),
            "is_current": failed is None,
            "as_of": None if age is None else round(self._clock.wall() - age, 3),
            "hosts": hosts,
        }
        return redacted_struct(answer, ("version", "health"))

    async def tell(self) -> None:
        """Tell other hosts of this one. Raises EngineAway."""
        await self.presence.step(self._part(await self._count()))

    def _part(self, counts: Iterable[shared_view.Waiting]) -> Part:
        now, targets = self._clock.now(), list(self._targets)
        sends_for = [name for target in targets if target.holds(now) for name in self._targets.names(target)]
        kept = sum(each.n for each in counts if each.is_own and not each.is_known)
        return Part([target.name for target in targets], sends_for, kept)

    async def _count(self) -> Sequence[shared_view.Waiting]:
        now = self._clock.now()
        if now - self._counted >= min(self._took * _SHARE, _OLDEST):
            names = [name for target in self._targets for name in self._targets.names(target)]
            self._counts = await self._journal.run(
                partial(shared_view.waiting, host=self._identity.name, destinations=names)
            )
            self._counted = self._clock.now()
            self._took = self._counted - now
        return self._counts


def _lane(
    targets: Targets, target: Target, now: float, counts: Iterable[shared_view.Waiting], *, is_away: bool
) -> Mapping[str, Any]:
    names = targets.names(target)
    here = [each for each in counts if each.destination in names]
    return {
        "destinations": names,
        "holder": None if is_away else target.holder or None,
        "here": target.holds(now),
        "alone": is_away and targets.degrades,
        "hosts": target.hosts,
        "waiting": sum(each.n for each in here if each.is_own),
        "handed_over": sum(each.n for each in here if each.is_own and each.is_known),
        "taken": sum(each.n for each in here if not each.is_own),
        "in_doubt": sum(each.in_doubt for each in here),
    }


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else round(now - at, 3)


def _outage_of(engine: EngineState, *, is_away: bool) -> str:
    """That the engine cannot be used, and what happens now, or soon; empty while it can, and right after the start."""
    if engine.away is None or (engine.away.cause is Cause.UNASKED and not is_away):
        return ""
    soon = "" if is_away else f"if that lasts for {LEASE_MS / 1000:g} s, "
    return f"{engine.away}; {soon}{engine.then}"


def _problems(engine: EngineState, *, is_away: bool) -> list[str]:
    problems = list(engine.complaints)
    if outage := _outage_of(engine, is_away=is_away):
        problems.append(outage)
    if engine.copied:
        problems.append(engine.copied.text)
    if engine.strange:
        problems.append(f"other hosts handed over {engine.strange} deliveries that this host has no destination for")
    return problems
