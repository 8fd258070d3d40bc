from __future__ import annotations

import sqlite3

import msgspec
import pytest
from tests.journal.factories import NOW, begun, column, ended, fed, put, request_of, states_of, tried

from tocsind.journal import Reroute, SettledAttempt, attempts, maintenance, queries, rerouting
from tocsind.journal.attempts import INTERRUPTED
from tocsind.policy.delivery import Settlement, State


def attempts_of(database: sqlite3.Connection, id_: str) -> list[tuple[int, str | None, str | None]]:
    story = queries.why(database, id_)
    assert story is not None
    return [(each["number"], each["outcome"], each["reason"]) for each in story["deliveries"][0]["attempts"]]


def test_begin_records_the_attempt(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    (claimed,) = begun(database, "a", NOW + 5)
    assert (claimed.attempts, claimed.first_try) == (1, NOW + 5)
    assert states_of(database, id_) == {"a": "sending"}
    assert attempts_of(database, id_) == [(1, None, None)]


def test_begin_claims_nothing_twice(database: sqlite3.Connection) -> None:
    put(database, "a")
    window = fed(database, "a")
    assert len(attempts.begin(database, window, request_of("a"), NOW)) == 1
    assert attempts.begin(database, window, request_of("a"), NOW) == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_begin_claims_only_queued_deliveries(database: sqlite3.Connection, state: State) -> None:
    put(database, "a")
    window = fed(database, "a")
    database.execute("UPDATE deliveries SET state = ?", (state.value,))
    assert attempts.begin(database, window, request_of("a"), NOW) == []
    assert database.execute("SELECT state, attempts FROM deliveries").fetchall() == [(state.value, 0)]


def test_begin_claims_only_before_the_deadline(database: sqlite3.Connection) -> None:
    short, long = put(database, "a", expires=10), put(database, "a", expires=11)
    assert [delivery.id for delivery in begun(database, "a", NOW + 10)] == [long]
    assert states_of(database, short) == {"a": "queued"}


def test_begin_returns_the_journals_delivery_and_not_the_callers_copy(database: sqlite3.Connection) -> None:
    """Fed, sent, dead, requeued by the operator, and then claimed with the first copy."""
    id_ = put(database, "a")
    (stale,) = fed(database, "a")
    (first,) = begun(database, "a", NOW + 1)
    ended(database, first, State.UNKNOWN, doubt=True)
    maintenance.retry_one(database, id_, NOW + 2)
    (second,) = attempts.begin(database, [stale], request_of("a"), NOW + 3)
    assert (second.attempts, second.first_try, second.maybe_duplicate) == (2, NOW + 3, True)
    assert attempts_of(database, id_) == [(1, "unknown", "because unknown"), (2, None, None)]


def test_first_try_is_kept_over_later_attempts(database: sqlite3.Connection) -> None:
    put(database, "a")
    for number in (1, 2, 3):
        (delivery,) = begun(database, "a", NOW + number)
        assert (delivery.attempts, delivery.first_try) == (number, NOW + 1)
        ended(database, delivery, State.QUEUED)


def test_settle_closes_the_attempt_with_its_reason(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    (delivery,) = begun(database, "a")
    sent = Settlement(State.SENT, message="m77", maybe_duplicate=True, unknown_count=1)
    assert attempts.settle(database, [SettledAttempt(delivery, sent, "delivered")], NOW + 2, None) == []
    story = queries.why(database, id_)
    assert story is not None
    assert story["state"] == "delivered"
    (row,) = story["deliveries"]
    assert (row["state"], row["since"], row["message"], row["possible_duplicate"]) == ("sent", NOW + 2, "m77", True)
    assert row["attempts"] == [{"number": 1, "started": NOW, "ended": NOW + 2, "outcome": "delivered", "reason": None}]
    assert column(database, "unknowns", id_) == [1]


def test_settle_requeues_delivery_with_its_history(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    again = Settlement(State.QUEUED, "503", wait=4.0, maybe_duplicate=True, unknown_count=1)
    attempts.settle(database, [SettledAttempt(delivery, again, "deferred")], NOW, None)
    (fed_again,) = fed(database, "a")
    assert fed_again == msgspec.structs.replace(delivery, maybe_duplicate=True, unknown_count=1, tried=None)


def test_settle_copies_dead_delivery_to_first_fallback_that_has_not_had_it(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", "b", expires=60)
    (delivery,) = begun(database, "a")
    assert ended(database, delivery, State.DEAD, "b", "c", "d") == [Reroute(id_, "a", "c")]
    assert states_of(database, id_) == {"a": "dead", "b": "queued", "c": "queued"}
    (copy,) = fed(database, "c")
    assert (copy.deadline, copy.maybe_duplicate, copy.attempts) == (NOW + 60, False, 0)


def test_settle_marks_the_copy_of_an_unknown_delivery(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    doubtful = Settlement(State.UNKNOWN, "timeout", maybe_duplicate=True, unknown_count=2, copy_to_fallback=True)
    attempts.settle(database, [SettledAttempt(delivery, doubtful, "unknown", ("c",))], NOW, None)
    assert [copy.maybe_duplicate for copy in fed(database, "c")] == [True]


def test_divert_keeps_the_duplicate_mark(database: sqlite3.Connection) -> None:
    put(database, "a")
    (delivery,) = begun(database, "a")
    attempts.settle(
        database,
        [SettledAttempt(delivery, Settlement(State.QUEUED, "timeout", maybe_duplicate=True), "unknown")],
        NOW,
        None,
    )
    rerouting.divert(database, "a", ["c"], "404", NOW)
    assert [copy.maybe_duplicate for copy in fed(database, "c")] == [True]


def test_settle_copies_nothing_for_a_requeued_delivery(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    (delivery,) = begun(database, "a")
    assert ended(database, delivery, State.UNKNOWN, "c", elsewhere=False) == []
    assert states_of(database, id_) == {"a": "unknown"}


def test_circular_fallbacks_end(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    for name, chain in (("a", "bc"), ("b", "ca"), ("c", "ab")):
        (delivery,) = begun(database, name)
        assert len(ended(database, delivery, State.DEAD, *chain)) == (name != "c")
    assert states_of(database, id_) == {"a": "dead", "b": "dead", "c": "dead"}


def test_replay_requeues_only_what_was_in_flight_marked_as_duplicate(database: sqlite3.Connection) -> None:
    in_flight = put(database, "a")
    (delivery,) = begun(database, "a")
    sent = put(database, "b")
    tried(database, "b", State.SENT)
    waiting = put(database, "c")
    assert attempts.replay(database, NOW + 9) == 1
    assert [states_of(database, id_) for id_ in (in_flight, sent, waiting)] == [
        {"a": "queued"},
        {"b": "sent"},
        {"c": "queued"},
    ]
    assert attempts_of(database, in_flight) == [(1, "unknown", INTERRUPTED)]
    (again,) = fed(database, "a")
    assert (again.number, again.attempts, again.maybe_duplicate, again.unknown_count) == (delivery.number, 1, True, 0)
    assert attempts.replay(database, NOW + 9) == 0
    assert [copy.maybe_duplicate for copy in fed(database, "c")] == [False]


def test_settle_and_begin_closes_the_ended_request_and_opens_the_next(database: sqlite3.Connection) -> None:
    first, second = put(database, "a"), put(database, "a")
    one, two = fed(database, "a")
    (claimed,) = attempts.begin(database, [one], request_of("a"), NOW)
    ending, following = SettledAttempt(claimed, Settlement(State.SENT), "delivered"), [one, two]
    moved, begun_now = attempts.settle_and_begin(
        database, [ending], None, [], following=following, request=request_of("a"), now=NOW + 3
    )
    assert (moved, [each.id for each in begun_now]) == ([], [second])
    assert [states_of(database, first), states_of(database, second)] == [{"a": "sent"}, {"a": "sending"}]
    answers = database.execute("SELECT sent, answered FROM requests ORDER BY number").fetchall()
    assert answers == [(NOW, NOW + 3), (NOW + 3, None)]
