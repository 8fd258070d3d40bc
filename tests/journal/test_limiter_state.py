from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.factories import NOW, begun, ended, fed, put, request_of, states_of

from tocsind.journal import LaneState, LimitState, RequestRecord, SettledAttempt, attempts, limiter_state
from tocsind.journal.limiter_state import MAX_REQUESTS
from tocsind.journal.opening import open_journal
from tocsind.policy.delivery import Settlement, State

LANE = LaneState("a", "f1e2", "404", 5, 2, NOW + 20, "503", 3, 2, "123")
SCOPE = LimitState("channel:discord:123", NOW + 9, "429", 28, 60.0, NOW, 9.0)


def answered_request(
    database: sqlite3.Connection, destination: str, channel: str, at: float, *, expedited: bool = False
) -> None:
    """A request that is answered a second later."""
    put(database, destination)
    (delivery,) = attempts.begin(
        database, fed(database, destination), request_of(destination, channel, expedited=expedited), at
    )
    ended(database, delivery, State.SENT, now=at + 1)


def times(database: sqlite3.Connection, channel: str, destination: str) -> list[float | None]:
    return [request.at for request in limiter_state.requests(database, channel, destination)]


def test_request_is_open_until_settled_and_counts_once_for_a_batch(
    database: sqlite3.Connection,
) -> None:
    for _ in range(3):
        put(database, "a")
    batch = attempts.begin(database, fed(database, "a"), request_of("a", "c", expedited=True), NOW + 7)
    assert limiter_state.requests(database, "c", "a") == [RequestRecord(None, expedited=True, destination="a")]
    attempts.settle(
        database, [SettledAttempt(each, Settlement(State.SENT), "delivered") for each in batch], NOW + 8, None
    )
    assert limiter_state.requests(database, "c", "a") == [RequestRecord(NOW + 8, expedited=True, destination="a")]


@pytest.mark.parametrize(("unsent", "kept"), [((True, True), 0), ((True, False), 1)])
def test_request_that_never_reached_the_server_is_deleted(
    database: sqlite3.Connection, unsent: tuple[bool, ...], kept: int
) -> None:
    answered_request(database, "b", "c", NOW)
    for _ in unsent:
        put(database, "a")
    batch = attempts.begin(database, fed(database, "a"), request_of("a", "c"), NOW + 2)
    queued = Settlement(State.QUEUED)
    endings = [SettledAttempt(each, queued, "deferred", (), flag) for each, flag in zip(batch, unsent, strict=True)]
    attempts.settle(database, endings, NOW + 3, None)
    assert times(database, "c", "a") == [NOW + 1, *[NOW + 3] * kept]


def test_batch_without_claims_records_no_request(database: sqlite3.Connection) -> None:
    assert begun(database, "a") == []
    assert limiter_state.requests(database, "channel", "a") == []


def test_requests_are_those_of_the_channel_and_of_the_destination(
    database: sqlite3.Connection,
) -> None:
    answered_request(database, "a", "old", NOW)
    answered_request(database, "b", "shared", NOW + 1, expedited=True)
    answered_request(database, "a", "shared", NOW + 2)
    answered_request(database, "c", "elsewhere", NOW + 3)
    assert limiter_state.requests(database, "shared", "a") == [
        RequestRecord(NOW + 1, expedited=False, destination="a"),
        RequestRecord(NOW + 2, expedited=True, destination="b"),
        RequestRecord(NOW + 3, expedited=False, destination="a"),
    ]
    assert times(database, "shared", "b") == [NOW + 2, NOW + 3]


def test_requests_are_in_order_of_answers_and_open_ones_last(database: sqlite3.Connection) -> None:
    put(database, "b")
    (slow,) = begun(database, "b", NOW)
    answered_request(database, "a", "channel", NOW + 1)
    put(database, "c")
    begun(database, "c", NOW + 2)
    ended(database, slow, State.SENT, now=NOW + 5)
    assert times(database, "channel", "a") == [NOW + 2, NOW + 5, None]


def test_finish_request_closes_only_its_own_destination(database: sqlite3.Connection) -> None:
    put(database, "a")
    begun(database, "a")
    answered_request(database, "b", "channel", NOW)
    assert times(database, "nowhere", "a") == [None]
    assert times(database, "nowhere", "b") == [NOW + 1]


def test_requests_are_bounded_per_destination(database: sqlite3.Connection) -> None:
    for number in range(MAX_REQUESTS + 5):
        answered_request(database, "a", "c", NOW + number)
    answered_request(database, "b", "c", NOW)
    assert times(database, "nowhere", "a") == [NOW + number for number in range(6, MAX_REQUESTS + 6)]
    assert times(database, "nowhere", "b") == [NOW + 1]


def test_crash_after_begin_leaves_open_request_and_marked_delivery(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as database:
        id_ = put(database, "a")
        begun(database, "a", NOW)
    with closing(open_journal(tmp_path)) as database:
        assert limiter_state.requests(database, "channel", "a") == [
            RequestRecord(None, expedited=False, destination="a")
        ]
        assert states_of(database, id_) == {"a": "sending"}
        attempts.replay(database, NOW + 9)
        assert [delivery.maybe_duplicate for delivery in fed(database, "a")] == [True]


def test_close_requests_answers_open_ones_at_the_next_start(database: sqlite3.Connection) -> None:
    """Else each later start would count them as its own, and wait for them again."""
    put(database, "a")
    begun(database, "a", NOW)
    attempts.replay(database, NOW + 9)
    assert times(database, "channel", "a") == [NOW + 9]


def test_unknown_lane_or_limit_has_empty_state(database: sqlite3.Connection) -> None:
    assert limiter_state.load_lane(database, "a") == LaneState("a")
    assert limiter_state.load_limit(database, "endpoint:x") == LimitState("endpoint:x")


def test_settle_saves_lane_and_limit_state(
    database: sqlite3.Connection,
) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    attempts.settle(database, [SettledAttempt(delivery, Settlement(State.SENT), "delivered")], NOW, LANE, [SCOPE])
    assert limiter_state.load_lane(database, "a") == LANE
    assert limiter_state.load_limit(database, SCOPE.scope) == SCOPE
    assert limiter_state.load_lane(database, "b") == LaneState("b")
    limiter_state.save(database, LaneState("a", trips=4), [LimitState(SCOPE.scope, count=27)])
    assert limiter_state.load_lane(database, "a") == LaneState("a", trips=4)
    assert limiter_state.load_limit(database, SCOPE.scope) == LimitState(SCOPE.scope, count=27)


def test_limits_are_saved_without_a_lane_and_a_lane_without_limits(database: sqlite3.Connection) -> None:
    limiter_state.save(database, None, [SCOPE, LimitState("address:discord")])
    limiter_state.save(database, LANE, [])
    assert limiter_state.load_limit(database, SCOPE.scope) == SCOPE
    assert limiter_state.load_lane(database, "a") == LANE


@pytest.mark.parametrize("table", ["lanes", "scopes"])
def test_every_field_of_saved_state_has_a_column(database: sqlite3.Connection, table: str) -> None:
    columns = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    assert columns == set((LaneState if table == "lanes" else LimitState).__struct_fields__)
