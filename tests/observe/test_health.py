"""The evaluation of health: which conditions are on, which of them are problems, and which raise an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import msgspec
import pytest

from tocsind.config import AlarmsOptions
from tocsind.delivery.condition import Condition as LaneCondition
from tocsind.delivery.lane_view import LaneView, LimitsView, OutageView, RefusalsView
from tocsind.journal import Count
from tocsind.observe.health import Condition, Health, Readings, evaluate
from tocsind.policy.delivery import Priority
from tocsind.policy.live_message import Editing
from tocsind.policy.patience import Fitness

OPTIONS = AlarmsOptions(breaker=120.0, age=900.0)
_NEVER = dict.fromkeys(Priority, inf)
WELL = LaneView(
    name="a",
    kind="file",
    condition=LaneCondition("ready"),
    disabled=None,
    excluded=None,
    fallbacks=(),
    fitness=Fitness.WORKING,
    failing_for=0.0,
    breaker_ready=True,
    outage=OutageView(is_on=False, fails=False, seconds=0.0, is_over_patience=False, moves_after=_NEVER),
    limits=LimitsView((), dict.fromkeys(Priority, 0.0), dict.fromkeys(Priority), blocked_for=0.0, host_block=None),
    refusals=RefusalsView(0, None, is_all=False),
    trips=0,
    note=None,
    edits_at=None,
    editing=Editing.NONE,
    turn_queue="a",
    turns=0,
    turn_taken=False,
    in_flight_for=None,
    deadline=10.0,
    senders=(),
)


def lane(**changes: Any) -> LaneView:
    return msgspec.structs.replace(WELL, **changes)


def failing(**changes: Any) -> LaneView:
    word = LaneCondition("failing", "503 from Discord")
    return lane(condition=word, breaker_ready=False, failing_for=130.0, fitness=Fitness.FAILS, **changes)


def blocked(seconds: float, **outage: Any) -> LaneView:
    limits = msgspec.structs.replace(WELL.limits, blocked_for=seconds)
    on = msgspec.structs.replace(WELL.outage, is_on=True, seconds=5.0, **outage)
    return lane(condition=LaneCondition("limited", "429 from Discord", seconds), limits=limits, outage=on)


DISABLED = lane(condition=LaneCondition("disabled", "404"), disabled="404", fitness=Fitness.DISABLED)
EXCLUDED = lane(condition=LaneCondition("disabled", "not set"), disabled="not set", excluded="not set")


def queued(n: int, name: str = "a", priority: Priority = Priority.NORMAL, state: str = "queued") -> Count:
    return Count(name, priority, state, n)


def health(*views: LaneView, options: AlarmsOptions = OPTIONS, **readings: Any) -> Health:
    return evaluate(Readings(lanes=views, **readings), options)


def names(conditions: Sequence[Condition]) -> list[tuple[str, str]]:
    return [each.name for each in conditions]


def test_health_without_conditions_is_ok() -> None:
    found = health(WELL, counts=(queued(3),), waiting={("a", Priority.NORMAL): 10.0})
    assert (found.word, found.conditions, found.problems) == ("ok", (), [])


@pytest.mark.parametrize(
    ("view", "kind", "problem"),
    [
        pytest.param(failing(), "breaker", "a is failing: 503 from Discord", id="breaker open"),
        pytest.param(DISABLED, "disabled", "a is disabled: 404; `tocsin enable a` puts it back", id="disabled"),
        pytest.param(
            msgspec.structs.replace(failing(), disabled="404", condition=DISABLED.condition),
            "disabled",
            "a is disabled: 404; `tocsin enable a` puts it back",
            id="disabled with an open breaker",
        ),
        pytest.param(blocked(61.0), "limited", "a is limited: 429 from Discord, for another 1m1s", id="long block"),
        pytest.param(blocked(30.0), "limited", None, id="short block"),
        pytest.param(
            blocked(30.0, is_over_patience=True), "limited", "a is limited: 429 from Discord", id="over patience"
        ),
        pytest.param(
            lane(refusals=RefusalsView(3, "400", is_all=True)),
            "refusing",
            "a has refused the last 3 alerts that it was sent: 400",
            id="refuses all",
        ),
    ],
)
def test_health_of_one_lane_has_one_condition(view: LaneView, kind: str, problem: str | None) -> None:
    found = health(view, msgspec.structs.replace(WELL, name="b"))
    assert names(found.conditions) == [(kind, "a")]
    assert found.problems == ([problem] if problem else [])
    assert found.word == ("degraded" if problem else "ok")


def test_health_is_failing_when_no_wanted_destination_works_or_intake_is_closed() -> None:
    assert health(failing(), EXCLUDED).word == "failing"
    assert health(EXCLUDED).word == "ok"
    closed = health(WELL, intake_closed="the disk is full")
    assert (closed.word, closed.problems) == ("failing", ["no signal is taken: the disk is full"])


def test_health_of_an_old_queue_raises_an_alarm_unless_disabled_or_switched_off() -> None:
    old = {("a", Priority.LOW): 10.0, ("a", Priority.HIGH): 901.0}
    condition = health(WELL, waiting=old).get("age", "a")
    assert condition is not None
    assert (condition.lasted, condition.alarm_after, condition.is_problem) == (901.0, 900.0, True)
    disabled = health(DISABLED, waiting=old).get("age", "a")
    assert disabled is not None
    assert disabled.alarm_after is None, "the alarm of the disabled destination is enough"
    assert health(WELL, waiting=old, options=AlarmsOptions(age=None)).conditions == ()
    assert health(EXCLUDED, waiting=old).conditions == ()


def test_health_raises_no_alarm_for_a_queue_that_holds_only_alarms() -> None:
    for own, expected in ((2, None), (1, 120.0)):
        found = health(failing(), counts=(queued(2),), own_alarms={"a": own})
        assert [each.alarm_after for each in found.conditions] == [expected]


def test_health_names_deliveries_that_nothing_can_deliver() -> None:
    counts = (queued(2), queued(1, "gone"), queued(4, "gone", Priority.LOW), queued(9, "gone", state="dead"))
    found = health(EXCLUDED, counts=counts, undelivered=9)
    assert names(found.conditions) == [("stranded", "a"), ("dead", "deliveries"), ("orphaned", "gone")]
    assert found.problems[0] == "2 wait for a, which has no fallback: not set"
    assert found.problems[1].startswith("9 dead, ")
    assert found.problems[2] == "5 wait for gone, which the configuration no longer names"
    assert health(lane(excluded="not set", fallbacks=("b",)), counts=(queued(2),)).conditions == ()


@pytest.mark.parametrize(
    ("view", "waited", "success", "stalled"),
    [
        pytest.param(failing(), 301.0, 301.0, True, id="due for longer than the patience"),
        pytest.param(failing(), 301.0, 10.0, False, id="deliveries arrive"),
        pytest.param(lane(condition=LaneCondition("limited", "1/h")), 301.0, 301.0, False, id="own limit"),
        pytest.param(blocked(30.0), 301.0, 301.0, True, id="block by the server"),
        pytest.param(EXCLUDED, 301.0, 301.0, False, id="excluded"),
    ],
)
def test_health_finds_a_stalled_destination_for_the_heartbeat(
    view: LaneView, waited: float, success: float, stalled: bool
) -> None:
    readings = Readings(lanes=(view,), waiting={("a", Priority.LOW): waited}, since_success={"a": success})
    found = evaluate(readings, OPTIONS, stalled_after=300.0)
    assert (("stalled", "a") in names(found.conditions)) is stalled
    assert not any("got through" in problem for problem in found.problems), "the heartbeat's own part reports it"
    assert ("stalled", "a") not in names(evaluate(readings, OPTIONS).conditions)


def test_health_is_degraded_by_a_problem_of_another_part() -> None:
    found = evaluate(Readings(lanes=(WELL,)), OPTIONS, reported=[Condition("spool", "spool", "chmod 700")])
    assert (found.word, found.problems) == ("degraded", ["chmod 700"])
