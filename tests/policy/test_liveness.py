"""Stuck parts, in plain numbers."""

from __future__ import annotations

import pytest

from tocsind.policy.liveness import LEEWAY, Snapshot, stuck

IDLE = Snapshot(moves=7)
DUE = Snapshot(moves=7, due="something may be sent")
MOVED = Snapshot(moves=8, due="something may be sent")


def out(seconds: float) -> Snapshot:
    return Snapshot(moves=7, in_flight=seconds, deadline=10.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [(IDLE, IDLE), (IDLE, DUE), (DUE, IDLE), (DUE, MOVED), (DUE, out(0.0)), (out(9.0), out(10.0 + LEEWAY))],
)
def test_idle_waiting_moving_and_timely_requests_are_not_stuck(before: Snapshot, after: Snapshot) -> None:
    assert stuck(before, after) is None


def test_due_part_without_moves_is_stuck() -> None:
    assert stuck(DUE, DUE) == "something may be sent"


def test_request_beyond_its_deadline_is_stuck() -> None:
    for before in (IDLE, DUE, out(9.0)):
        reason = stuck(before, out(16.0))
        assert reason == "a request has been out for 16 s, and its deadline was 10 s"
