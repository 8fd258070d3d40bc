from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.factories import NOW, asking, begun, ended, fed, put, standing

from tocsind.journal import LaneState, LimitState, RequestRecord, SettledAttempt, attempts, limiter_state
from tocsind.journal.limiter_state import MAX_REQUESTS
from tocsind.journal.schema import open_journal
from tocsind.policy.delivery import Settlement, State

LANE = LaneState("a", "f1e2", "404", 5, 2, NOW + 20, "503", 3, 2, "123")
SCOPE = LimitState("channel:discord:123", NOW + 9, "429", 28, 60.0, NOW, 9.0)


def asked(books: sqlite3.Connection, destination: str, channel: str, at: float, *, pressing: bool = False) -> None:
    """A request that is answered a second later."""
    put(books, destination)
    (delivery,) = attempts.begin(books, fed(books, destination), asking(destination, channel, pressing=pressing), at)
    ended(books, delivery, State.SENT, now=at + 1)


def times(books: sqlite3.Connection, channel: str, destination: str) -> list[float | None]:
    return [request.at for request in limiter_state.requests(books, channel, destination)]


def test_a_request_is_open_until_it_is_settled_and_counts_once_however_many_it_carried(
    books: sqlite3.Connection,
) -> None:
    for _ in range(3):
        put(books, "a")
    batch = attempts.begin(books, fed(books, "a"), asking("a", "c", pressing=True), NOW + 7)
    assert limiter_state.requests(books, "c", "a") == [RequestRecord(None, expedited=True, destination="a")]
    attempts.settle(books, [SettledAttempt(each, Settlement(State.SENT), "delivered") for each in batch], NOW + 8, None)
    assert limiter_state.requests(books, "c", "a") == [RequestRecord(NOW + 8, expedited=True, destination="a")]


@pytest.mark.parametrize(("unsent", "kept"), [((True, True), 0), ((True, False), 1)])
def test_a_request_that_never_reached_the_far_end_is_no_request(
    books: sqlite3.Connection, unsent: tuple[bool, ...], kept: int
) -> None:
    asked(books, "b", "c", NOW)
    for _ in unsent:
        put(books, "a")
    batch = attempts.begin(books, fed(books, "a"), asking("a", "c"), NOW + 2)
    queued = Settlement(State.QUEUED)
    endings = [SettledAttempt(each, queued, "deferred", (), flag) for each, flag in zip(batch, unsent, strict=True)]
    attempts.settle(books, endings, NOW + 3, None)
    assert times(books, "c", "a") == [NOW + 1, *[NOW + 3] * kept]


def test_a_batch_of_which_nothing_could_be_claimed_is_no_request(books: sqlite3.Connection) -> None:
    assert begun(books, "a") == []
    assert limiter_state.requests(books, "channel", "a") == []


def test_who_shares_a_channel_is_told_of_all_requests_there_and_of_its_own_wherever_they_went(
    books: sqlite3.Connection,
) -> None:
    asked(books, "a", "old", NOW)
    asked(books, "b", "shared", NOW + 1, pressing=True)
    asked(books, "a", "shared", NOW + 2)
    asked(books, "c", "elsewhere", NOW + 3)
    assert limiter_state.requests(books, "shared", "a") == [
        RequestRecord(NOW + 1, expedited=False, destination="a"),
        RequestRecord(NOW + 2, expedited=True, destination="b"),
        RequestRecord(NOW + 3, expedited=False, destination="a"),
    ]
    assert times(books, "shared", "b") == [NOW + 2, NOW + 3]


def test_requests_are_told_in_the_order_of_their_answers_and_open_ones_last(books: sqlite3.Connection) -> None:
    put(books, "b")
    (slow,) = begun(books, "b", NOW)
    asked(books, "a", "channel", NOW + 1)
    put(books, "c")
    begun(books, "c", NOW + 2)
    ended(books, slow, State.SENT, now=NOW + 5)
    assert times(books, "channel", "a") == [NOW + 2, NOW + 5, None]


def test_an_answer_closes_only_the_request_of_its_own_destination(books: sqlite3.Connection) -> None:
    put(books, "a")
    begun(books, "a")
    asked(books, "b", "channel", NOW)
    assert times(books, "nowhere", "a") == [None]
    assert times(books, "nowhere", "b") == [NOW + 1]


def test_only_the_latest_requests_of_each_destination_are_kept(books: sqlite3.Connection) -> None:
    for number in range(MAX_REQUESTS + 5):
        asked(books, "a", "c", NOW + number)
    asked(books, "b", "c", NOW)
    assert times(books, "nowhere", "a") == [NOW + number for number in range(6, MAX_REQUESTS + 6)]
    assert times(books, "nowhere", "b") == [NOW + 1]


def test_a_crash_between_begin_and_settle_leaves_an_open_request_and_a_delivery_in_doubt(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as books:
        id_ = put(books, "a")
        begun(books, "a", NOW)
    with closing(open_journal(tmp_path)) as books:
        assert limiter_state.requests(books, "channel", "a") == [RequestRecord(None, expedited=False, destination="a")]
        assert standing(books, id_) == {"a": "sending"}
        attempts.replay(books, NOW + 9)
        assert [delivery.maybe_duplicate for delivery in fed(books, "a")] == [True]


def test_what_was_open_when_a_run_ended_is_answered_by_the_next_start(books: sqlite3.Connection) -> None:
    """Or each later start would take it for its own, and wait for it anew."""
    put(books, "a")
    begun(books, "a", NOW)
    attempts.replay(books, NOW + 9)
    assert times(books, "channel", "a") == [NOW + 9]


def test_a_lane_or_scope_that_was_never_seen_has_a_fresh_memory(books: sqlite3.Connection) -> None:
    assert limiter_state.load_lane(books, "a") == LaneState("a")
    assert limiter_state.load_limit(books, "endpoint:x") == LimitState("endpoint:x")


def test_what_was_learned_is_written_with_the_settlement_and_replaces_what_was_known(
    books: sqlite3.Connection,
) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    attempts.settle(books, [SettledAttempt(delivery, Settlement(State.SENT), "delivered")], NOW, LANE, [SCOPE])
    assert limiter_state.load_lane(books, "a") == LANE
    assert limiter_state.load_limit(books, SCOPE.scope) == SCOPE
    assert limiter_state.load_lane(books, "b") == LaneState("b")
    limiter_state.save(books, LaneState("a", trips=4), [LimitState(SCOPE.scope, count=27)])
    assert limiter_state.load_lane(books, "a") == LaneState("a", trips=4)
    assert limiter_state.load_limit(books, SCOPE.scope) == LimitState(SCOPE.scope, count=27)


def test_scopes_are_kept_without_a_lane_and_a_lane_without_scopes(books: sqlite3.Connection) -> None:
    limiter_state.save(books, None, [SCOPE, LimitState("address:discord")])
    limiter_state.save(books, LANE, [])
    assert limiter_state.load_limit(books, SCOPE.scope) == SCOPE
    assert limiter_state.load_lane(books, "a") == LANE


@pytest.mark.parametrize("table", ["lanes", "scopes"])
def test_every_field_of_a_memory_has_its_column(books: sqlite3.Connection, table: str) -> None:
    columns = {row[1] for row in books.execute(f"PRAGMA table_info({table})")}
    assert columns == set((LaneState if table == "lanes" else LimitState).__struct_fields__)
