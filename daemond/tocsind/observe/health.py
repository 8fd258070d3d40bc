"""What is wrong with the daemon and its destinations: one evaluation, which every observer presents.

    kind       about         it is on while                                       status   alarm
    disk       the disk      the daemon accepts no signals                        at once  by its event
    disabled   destination   the server refused it for good                       at once  by its event
    breaker    destination   its breaker is open, or lets one probe through       at once  after `[alarms] breaker`
    limited    destination   the server blocks it, or its first requests failed   later    by its event
    refusing   destination   it refused each of the last alerts                   at once  -
    age        destination   a delivery waits for longer than `[alarms] age`      at once  at once
    stalled    destination   deliveries are due and none arrives (heartbeat)      -        -
    stranded   destination   deliveries wait for an excluded one, no fallback     at once  -
    dead       deliveries    dead ones whose signal no destination delivered      at once  -
    orphaned   destination   deliveries wait for one that is not configured       at once  -

`limited` is a problem once a block lasts longer than LONG_BLOCK_SECONDS, or an outage longer than the patience of some priority.
A destination that the configuration excludes is disabled as intended, and has no condition but `stranded`.

`evaluate` is pure. `HealthCheck` reads what it needs: views of the lanes, and one job of the journal.

    status, metrics    all problems, and the health word
    alarms             conditions that last; an alarm is over when its condition is
    heartbeat          `stalled`
    /readyz            `disk`
    /healthz           not from here: whether something is stuck takes two snapshots (`liveness`)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tocsin.durations import format_duration
from tocsind.config import AlarmsOptions
from tocsind.delivery.lane_view import LONG_BLOCK_SECONDS, LaneView
from tocsind.journal import Count
from tocsind.policy.delivery import OPEN, Priority, State
from tocsind.policy.heartbeat import is_stalled

NOT_WORKING = frozenset({"failing", "probing", "disabled"})  # words of a lane's condition


class Condition(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    kind: str
    """One of the table above, or the name of the part of the status that reports it."""

    about: str
    """The destination, or another subject."""

    reason: str
    """For people; `status` lists it."""

    lasted: float = 0.0
    """Seconds, as far as that is known; else 0."""

    is_problem: bool = True
    """Whether an operator should look."""

    alarm_after: float | None = None
    """How many seconds it must last before an alarm reports it; None: no alarm comes from the evaluation."""

    @property
    def name(self) -> tuple[str, str]:
        """Kind and subject: a condition with the same name is the same condition, some time later."""
        return self.kind, self.about


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation is made from. All durations are seconds."""

    lanes: tuple[LaneView, ...] = ()
    counts: tuple[Count, ...] = ()
    waiting: Mapping[tuple[str, Priority], float] = {}
    """By destination and priority: how long the oldest delivery that waits or is being sent has waited."""

    since_success: Mapping[str, float] = {}
    """By destination: since the last delivery arrived, or since the daemon started."""

    undelivered: int = 0
    """Dead deliveries whose signal no destination delivered."""

    intake_closed: str | None = None
    """Why the daemon accepts no signals."""

    own_alarms: Mapping[str, int] = {}
    """By destination: alarms of the daemon that wait there. A queue that holds nothing else raises no alarm."""

    def oldest(self, destination: str) -> float | None:
        """How long the oldest delivery there has waited, whatever its priority; None when none waits."""
        found = [self.waiting[destination, each] for each in Priority if (destination, each) in self.waiting]
        return max(found, default=None)

    def open_deliveries(self, destination: str) -> int:
        """How many wait or are being sent."""
        return sum(each.n for each in self.counts if each.destination == destination and State(each.state) in OPEN)


class Health(msgspec.Struct, frozen=True):
    """One evaluation: the conditions, and the readings that they come from."""

    word: str
    """"ok", "degraded" (an operator should look) or "failing" (no destination works, or the daemon accepts no signals)."""

    conditions: tuple[Condition, ...]
    readings: Readings

    @property
    def problems(self) -> list[str]:
        """For people: what an operator should look at."""
        return [each.reason for each in self.conditions if each.is_problem]

    def get(self, kind: str, about: str) -> Condition | None:
        """The condition of this name, if it is on."""
        return next((each for each in self.conditions if each.name == (kind, about)), None)


def evaluate(
    readings: Readings,
    alarms: AlarmsOptions,
    *,
    stalled_after: float | None = None,
    reported: Iterable[Condition] = (),
) -> Health:
    """The one place that decides what is wrong. `stalled_after` is the heartbeat's patience (None: without a heartbeat); `reported` are
    conditions of other parts of the daemon.
    """
    conditions = (
        *_disk(readings.intake_closed),
        *(each for view in readings.lanes if view.excluded is None for each in _of_lane(view, readings, alarms)),
        *(each for view in readings.lanes if view.excluded is None for each in _stalled(view, readings, stalled_after)),
        *_stranded(readings),
        *_dead(readings.undelivered),
        *_orphaned(readings),
        *reported,
    )
    return Health(_word(readings, conditions), conditions, readings)


def _word(readings: Readings, conditions: Sequence[Condition]) -> str:
    wanted = [view for view in readings.lanes if view.excluded is None]
    none_works = bool(wanted) and all(view.condition.word in NOT_WORKING for view in wanted)
    if readings.intake_closed or none_works:
        return "failing"
    return "degraded" if any(each.is_problem for each in conditions) else "ok"


def _disk(intake_closed: str | None) -> Iterator[Condition]:
    if intake_closed:
        yield Condition("disk", "the disk", f"no signal is taken: {intake_closed}")


# --- a destination ---------------------------------------------------------------------------------------------------------


def _of_lane(view: LaneView, readings: Readings, alarms: AlarmsOptions) -> Iterator[Condition]:
    only_alarms_wait = 0 < readings.open_deliveries(view.name) <= readings.own_alarms.get(view.name, 0)
    yield from _outage(view, None if only_alarms_wait else alarms.breaker)
    yield from _refusing(view)
    waited = readings.oldest(view.name)
    if alarms.age is not None and waited is not None and waited > alarms.age:
        reason = f"the oldest that waits for {view.name} has waited for {format_duration(waited)}"
        silent = only_alarms_wait or view.disabled is not None
        yield Condition("age", view.name, reason, waited, alarm_after=None if silent else alarms.age)


def _outage(view: LaneView, alarm_after: float | None) -> Iterator[Condition]:
    """At most one of them is a problem, because `status` has one line for each destination."""
    blocked = view.limits.blocked_for
    if view.disabled is not None:
        yield Condition("disabled", view.name, _outage_text(view))
        return
    if not view.breaker_ready:
        yield Condition("breaker", view.name, _outage_text(view), view.failing_for, alarm_after=alarm_after)
    if blocked > 0 or (view.outage.is_on and view.breaker_ready):
        is_problem = view.breaker_ready and (blocked > LONG_BLOCK_SECONDS or view.outage.is_over_patience)
        yield Condition("limited", view.name, _outage_text(view), view.outage.seconds, is_problem=is_problem)


def _outage_text(view: LaneView) -> str:
    condition = view.condition
    text = f"{view.name} is {condition.word}: {condition.reason}"
    if condition.seconds is not None and condition.seconds > LONG_BLOCK_SECONDS:
        text += f", for another {format_duration(condition.seconds)}"
    return f"{text}; `tocsin enable {view.name}` puts it back" if condition.word == "disabled" else text


def _refusing(view: LaneView) -> Iterator[Condition]:
    """Each of these alerts was wrong in itself, says the server; a destination that refuses all of them may be wrong itself."""
    if view.disabled is None and view.refusals.is_all:
        text = (
            f"{view.name} has refused the last {view.refusals.alerts} alerts that it was sent: {view.refusals.reason}"
        )
        yield Condition("refusing", view.name, text)


def _stalled(view: LaneView, readings: Readings, patience: float | None) -> Iterator[Condition]:
    if patience is None:
        return
    waits_for_own_limit = view.condition.word == "limited" and view.limits.blocked_for == 0
    waited, without_success = readings.oldest(view.name), readings.since_success.get(view.name, 0.0)
    if is_stalled(waited, without_success, paced=waits_for_own_limit, patience=patience):
        text = f"nothing got through to {view.name} for {patience:g} s, and something is due there"
        yield Condition("stalled", view.name, text, without_success, is_problem=False)


# --- deliveries ------------------------------------------------------------------------------------------------------------


def _stranded(readings: Readings) -> Iterator[Condition]:
    for view in readings.lanes:
        waiting = _queued(readings.counts, view.name)
        if view.excluded and not view.fallbacks and waiting:
            text = f"{waiting} wait for {view.name}, which has no fallback: {view.excluded}"
            yield Condition("stranded", view.name, text)


def _dead(undelivered: int) -> Iterator[Condition]:
    if undelivered:
        commands = "`tocsin queue --state dead` lists them, `tocsin retry` requeues them"
        text = f"{undelivered} dead, and no destination delivered their signals: {commands}"
        yield Condition("dead", "deliveries", text)


def _orphaned(readings: Readings) -> Iterator[Condition]:
    configured = {view.name for view in readings.lanes}
    for name in dict.fromkeys(each.destination for each in readings.counts if each.destination not in configured):
        if waiting := _queued(readings.counts, name):
            yield Condition("orphaned", name, f"{waiting} wait for {name}, which the configuration no longer names")


def _queued(counts: Iterable[Count], destination: str) -> int:
    return sum(each.n for each in counts if each.destination == destination and each.state == State.QUEUED.value)
