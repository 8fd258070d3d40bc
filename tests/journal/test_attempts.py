from __future__ import annotations

import sqlite3

import msgspec
import pytest
from tests.journal.factories import NOW, asking, begun, column, ended, fed, put, standing, tried

from tocsind.journal import Reroute, SettledAttempt, attempts, maintenance, queries, rerouting
from tocsind.journal.attempts import INTERRUPTED
from tocsind.policy.delivery import Settlement, State


def attempts_of(books: sqlite3.Connection, id_: str) -> list[tuple[int, str | None, str | None]]:
    told = queries.why(books, id_)
    assert told is not None
    return [(each["number"], each["outcome"], each["reason"]) for each in told["deliveries"][0]["attempts"]]


def test_begin_puts_the_attempt_on_record_before_anything_leaves(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    (claimed,) = begun(books, "a", NOW + 5)
    assert (claimed.attempts, claimed.first_try) == (1, NOW + 5)
    assert standing(books, id_) == {"a": "sending"}
    assert attempts_of(books, id_) == [(1, None, None)]


def test_begin_claims_nothing_twice(books: sqlite3.Connection) -> None:
    put(books, "a")
    window = fed(books, "a")
    assert len(attempts.begin(books, window, asking("a"), NOW)) == 1
    assert attempts.begin(books, window, asking("a"), NOW) == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_begin_claims_only_what_is_queued(books: sqlite3.Connection, state: State) -> None:
    put(books, "a")
    window = fed(books, "a")
    books.execute("UPDATE deliveries SET state = ?", (state.value,))
    assert attempts.begin(books, window, asking("a"), NOW) == []
    assert books.execute("SELECT state, attempts FROM deliveries").fetchall() == [(state.value, 0)]


def test_begin_claims_only_what_is_in_time(books: sqlite3.Connection) -> None:
    short, long = put(books, "a", expires=10), put(books, "a", expires=11)
    assert [delivery.id for delivery in begun(books, "a", NOW + 10)] == [long]
    assert standing(books, short) == {"a": "queued"}


def test_begin_answers_what_the_journal_knows_and_not_what_memory_remembered(books: sqlite3.Connection) -> None:
    """Fed, sent, buried, put back by hand, and then claimed by whoever still held the first copy."""
    id_ = put(books, "a")
    (stale,) = fed(books, "a")
    (first,) = begun(books, "a", NOW + 1)
    ended(books, first, State.UNKNOWN, doubt=True)
    maintenance.retry_one(books, id_, NOW + 2)
    (second,) = attempts.begin(books, [stale], asking("a"), NOW + 3)
    assert (second.attempts, second.first_try, second.maybe_duplicate) == (2, NOW + 3, True)
    assert attempts_of(books, id_) == [(1, "unknown", "because unknown"), (2, None, None)]


def test_the_first_try_is_kept_over_later_ones(books: sqlite3.Connection) -> None:
    put(books, "a")
    for number in (1, 2, 3):
        (delivery,) = begun(books, "a", NOW + number)
        assert (delivery.attempts, delivery.first_try) == (number, NOW + 1)
        ended(books, delivery, State.QUEUED)


def test_a_settlement_closes_the_attempt_and_says_why(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    (delivery,) = begun(books, "a")
    sent = Settlement(State.SENT, message="m77", maybe_duplicate=True, unknown_count=1)
    assert attempts.settle(books, [SettledAttempt(delivery, sent, "delivered")], NOW + 2, None) == []
    told = queries.why(books, id_)
    assert told is not None
    assert told["state"] == "delivered"
    (row,) = told["deliveries"]
    assert (row["state"], row["since"], row["message"], row["possible_duplicate"]) == ("sent", NOW + 2, "m77", True)
    assert row["attempts"] == [{"number": 1, "started": NOW, "ended": NOW + 2, "outcome": "delivered", "reason": None}]
    assert column(books, "unknowns", id_) == [1]


def test_what_is_queued_again_is_fed_again_with_its_past(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    again = Settlement(State.QUEUED, "503", wait=4.0, maybe_duplicate=True, unknown_count=1)
    attempts.settle(books, [SettledAttempt(delivery, again, "deferred")], NOW, None)
    (fed_again,) = fed(books, "a")
    assert fed_again == msgspec.structs.replace(delivery, maybe_duplicate=True, unknown_count=1, tried=None)


def test_what_is_given_up_is_owed_to_the_first_fallback_that_has_not_had_it(books: sqlite3.Connection) -> None:
    id_ = put(books, "a", "b", expires=60)
    (delivery,) = begun(books, "a")
    assert ended(books, delivery, State.DEAD, "b", "c", "d") == [Reroute(id_, "a", "c")]
    assert standing(books, id_) == {"a": "dead", "b": "queued", "c": "queued"}
    (copy,) = fed(books, "c")
    assert (copy.deadline, copy.maybe_duplicate, copy.attempts) == (NOW + 60, False, 0)


def test_the_copy_of_what_may_have_arrived_is_in_doubt(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    doubtful = Settlement(State.UNKNOWN, "timeout", maybe_duplicate=True, unknown_count=2, copy_to_fallback=True)
    attempts.settle(books, [SettledAttempt(delivery, doubtful, "unknown", ("c",))], NOW, None)
    assert [copy.maybe_duplicate for copy in fed(books, "c")] == [True]


def test_doubt_goes_along_when_a_queue_is_diverted(books: sqlite3.Connection) -> None:
    put(books, "a")
    (delivery,) = begun(books, "a")
    attempts.settle(
        books,
        [SettledAttempt(delivery, Settlement(State.QUEUED, "timeout", maybe_duplicate=True), "unknown")],
        NOW,
        None,
    )
    rerouting.divert(books, "a", ["c"], "404", NOW)
    assert [copy.maybe_duplicate for copy in fed(books, "c")] == [True]


def test_what_is_not_given_up_goes_nowhere_else(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    (delivery,) = begun(books, "a")
    assert ended(books, delivery, State.UNKNOWN, "c", elsewhere=False) == []
    assert standing(books, id_) == {"a": "unknown"}


def test_fallbacks_in_a_circle_end_where_they_began(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    for name, chain in (("a", "bc"), ("b", "ca"), ("c", "ab")):
        (delivery,) = begun(books, name)
        assert len(ended(books, delivery, State.DEAD, *chain)) == (name != "c")
    assert standing(books, id_) == {"a": "dead", "b": "dead", "c": "dead"}


def test_replay_puts_back_what_was_in_flight_in_doubt_and_nothing_else(books: sqlite3.Connection) -> None:
    in_flight = put(books, "a")
    (delivery,) = begun(books, "a")
    sent = put(books, "b")
    tried(books, "b", State.SENT)
    waiting = put(books, "c")
    assert attempts.replay(books, NOW + 9) == 1
    assert [standing(books, id_) for id_ in (in_flight, sent, waiting)] == [
        {"a": "queued"},
        {"b": "sent"},
        {"c": "queued"},
    ]
    assert attempts_of(books, in_flight) == [(1, "unknown", INTERRUPTED)]
    (again,) = fed(books, "a")
    assert (again.number, again.attempts, again.maybe_duplicate, again.unknown_count) == (delivery.number, 1, True, 0)
    assert attempts.replay(books, NOW + 9) == 0
    assert [copy.maybe_duplicate for copy in fed(books, "c")] == [False]


def test_settle_and_begin_closes_the_request_that_ended_and_opens_the_next(books: sqlite3.Connection) -> None:
    first, second = put(books, "a"), put(books, "a")
    one, two = fed(books, "a")
    (claimed,) = attempts.begin(books, [one], asking("a"), NOW)
    ending, following = SettledAttempt(claimed, Settlement(State.SENT), "delivered"), [one, two]
    moved, begun_now = attempts.settle_and_begin(
        books, [ending], None, [], following=following, request=asking("a"), now=NOW + 3
    )
    assert (moved, [each.id for each in begun_now]) == ([], [second])
    assert [standing(books, first), standing(books, second)] == [{"a": "sent"}, {"a": "sending"}]
    answers = books.execute("SELECT sent, answered FROM requests ORDER BY number").fetchall()
    assert answers == [(NOW, NOW + 3), (NOW + 3, None)]
