"""When an alert is posted again, until a person acknowledges it."""

from __future__ import annotations

import pytest

from tocsind.policy.delivery import Priority
from tocsind.policy.repeat import NEVER_AGAIN, Repeat, Step, step

URGENT, HIGH, NORMAL, LOW = Priority
REPEAT = Repeat(urgent=300.0, low=600.0, most=2)


def test_repeat_knows_its_priorities() -> None:
    assert [REPEAT.every(each) for each in Priority] == [300.0, None, None, 600.0]


@pytest.mark.parametrize(
    ("repeats", "expected"), [(0, Step.AGAIN), (1, Step.AGAIN), (2, Step.FALLBACK), (3, Step.FALLBACK)]
)
def test_repeat_counts_the_repetitions_and_then_tells_the_fallback(repeats: int, expected: Step) -> None:
    assert step(REPEAT, URGENT, repeats, None, 0.0) is expected


def test_repeat_stops_when_the_configuration_or_the_deadline_says_so() -> None:
    assert step(None, URGENT, 0, None, 0.0) is Step.STOP
    assert step(REPEAT, HIGH, 0, None, 0.0) is Step.STOP
    assert step(REPEAT, URGENT, NEVER_AGAIN, None, 0.0) is Step.STOP
    assert step(REPEAT, URGENT, 0, 10.0, 10.0) is Step.STOP
    assert step(REPEAT, URGENT, 0, 10.0, 9.0) is Step.AGAIN
