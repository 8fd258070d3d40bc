from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journal.factories import (
    NOW,
    arrival,
    begun,
    column,
    counted,
    ended,
    fed,
    folded,
    put,
    standing,
    tallied,
    tried,
)

from tocsind.journal import Reroute, attempts, maintenance, queries, queue, rerouting
from tocsind.journal.maintenance import CHUNK
from tocsind.journal.queue import UNROUTED
from tocsind.journal.schema import FILE_NAME
from tocsind.policy.delivery import Priority, State


def dead(books: sqlite3.Connection, destination: str = "a") -> str:
    id_ = put(books, destination)
    tried(books, destination, State.DEAD)
    return id_


def pages(books: sqlite3.Connection) -> int:
    count: int = books.execute("PRAGMA page_count").fetchone()[0]
    return count


REASONS: dict[State, Callable[[sqlite3.Connection], object]] = {
    State.QUEUED: lambda books: put(books, "a"),
    State.SENDING: lambda books: (put(books, "a"), begun(books, "a")),
    State.SENT: lambda books: (put(books, "a"), tried(books, "a", State.SENT)),
    State.UNKNOWN: lambda books: (put(books, "a"), tried(books, "a", State.UNKNOWN)),
    State.DEAD: dead,
    State.EXPIRED: lambda books: (put(books, "a", expires=5), maintenance.expire(books, NOW + 5)),
    State.REROUTED: lambda books: (put(books, "a"), rerouting.divert(books, "a", ["b"], "404", NOW)),
    State.DIGESTED: lambda books: (put(books, "a"), put(books, "a"), folded(books, "a")),
    State.DROPPED: lambda books: maintenance.drop(books, put(books, "a"), NOW),
}


@pytest.mark.parametrize("state", State)
def test_every_state_is_reached_by_a_job(books: sqlite3.Connection, state: State) -> None:
    REASONS[state](books)
    assert (state.value,) in books.execute("SELECT state FROM deliveries WHERE destination = 'a'").fetchall()


def test_what_waited_too_long_expires_and_nothing_else(books: sqlite3.Connection) -> None:
    late, in_time, patient, sending = (
        put(books, "a", expires=10),
        put(books, "a", expires=11),
        put(books, "a"),
        put(books, "b", expires=1),
    )
    begun(books, "b")
    assert maintenance.expire(books, NOW + 10) == [Reroute(late, "a")]
    assert [standing(books, id_) for id_ in (late, in_time, patient, sending)] == [
        {"a": "expired"},
        {"a": "queued"},
        {"a": "queued"},
        {"b": "sending"},
    ]
    assert maintenance.expire(books, NOW + 10) == []


def test_the_next_deadline_is_the_earliest_of_what_waits(books: sqlite3.Connection) -> None:
    assert maintenance.next_deadline(books) is None
    put(books, "a")
    assert maintenance.next_deadline(books) is None
    for seconds in (30, 10, 20):
        put(books, "a", expires=seconds)
    assert maintenance.next_deadline(books) == NOW + 10
    maintenance.expire(books, NOW + 10)
    assert maintenance.next_deadline(books) == NOW + 20


def test_expiry_goes_in_chunks(books: sqlite3.Connection) -> None:
    queue.append(books, [arrival("a", expires=1) for _ in range(CHUNK + 1)])
    assert [len(maintenance.expire(books, NOW + 1)) for _ in range(3)] == [CHUNK, 1, 0]


def test_a_disabled_destinations_queue_goes_to_its_fallback_most_pressing_first(books: sqlite3.Connection) -> None:
    low, normal, urgent = (put(books, "a", priority=Priority(number)) for number in (3, 2, 0))
    assert rerouting.divert(books, "a", ["b"], "404", NOW + 1) == [
        Reroute(urgent, "a", "b"),
        Reroute(normal, "a", "b"),
        Reroute(low, "a", "b"),
    ]
    assert standing(books, urgent) == {"a": "rerouted", "b": "queued"}
    assert column(books, "reason", urgent) == ["to b: 404", None]
    assert [delivery.id for delivery in fed(books, "b", Priority.URGENT)] == [urgent]
    assert rerouting.divert(books, "a", ["b"], "404", NOW + 1) == []


def test_what_has_nowhere_left_to_go_is_dead_and_says_why(books: sqlite3.Connection) -> None:
    id_ = put(books, "a", "b")
    assert rerouting.divert(books, "a", ["b"], "404", NOW) == [Reroute(id_, "a", None)]
    assert standing(books, id_) == {"a": "dead", "b": "queued"}
    assert column(books, "reason", id_) == ["404; no fallback is left", None]


def test_diverting_goes_in_chunks_and_leaves_what_is_in_flight(books: sqlite3.Connection) -> None:
    put(books, "a")
    begun(books, "a")
    queue.append(books, [arrival("a") for _ in range(2 * CHUNK + 1)])
    assert [len(rerouting.divert(books, "a", ["b"], "404", NOW)) for _ in range(4)] == [CHUNK, CHUNK, 1, 0]
    assert counted(books) == {("a", 2, "sending"): 1, ("a", 2, "rerouted"): 1001, ("b", 2, "queued"): 1001}


@pytest.mark.parametrize("state", [State.DEAD, State.UNKNOWN])
def test_retry_puts_back_what_is_dead_or_in_doubt_with_its_patience_renewed(
    books: sqlite3.Connection, state: State
) -> None:
    id_ = put(books, "a")
    tried(books, "a", state, doubt=True)
    assert maintenance.retry_one(books, id_, NOW + 5) == 1
    (again,) = fed(books, "a")
    assert (again.first_try, again.unknown_count, again.maybe_duplicate, again.attempts) == (None, 0, True, 1)


@pytest.mark.parametrize(
    "state", [State.QUEUED, State.SENT, State.EXPIRED, State.REROUTED, State.DIGESTED, State.DROPPED]
)
def test_retry_leaves_what_is_neither(books: sqlite3.Connection, state: State) -> None:
    id_ = put(books, "a")
    books.execute("UPDATE deliveries SET state = ?", (state.value,))
    assert maintenance.retry_one(books, id_, NOW) == 0
    assert standing(books, id_) == {"a": state.value}


def test_retrying_all_takes_the_dead_and_not_the_doubtful_of_one_destination_or_of_all(
    books: sqlite3.Connection,
) -> None:
    one, other, doubtful = dead(books, "a"), dead(books, "b"), put(books, "c")
    tried(books, "c", State.UNKNOWN)
    assert maintenance.retry_all(books, "b", NOW) == 1
    assert [standing(books, id_) for id_ in (one, other)] == [{"a": "dead"}, {"b": "queued"}]
    assert maintenance.retry_all(books, None, NOW) == 1
    assert [standing(books, id_) for id_ in (one, doubtful)] == [{"a": "queued"}, {"c": "unknown"}]
    assert maintenance.retry_all(books, None, NOW) == 0


def test_drop_settles_what_waits_or_is_dead_and_leaves_the_rest(books: sqlite3.Connection) -> None:
    id_ = put(books, "a", "b", "c", "d")
    for name, state in (("b", "dead"), ("c", "sending"), ("d", "sent")):
        books.execute("UPDATE deliveries SET state = ? WHERE destination = ?", (state, name))
    other = put(books, "a")
    assert maintenance.drop(books, id_, NOW) == 2
    assert standing(books, id_) == {"a": "dropped", "b": "dropped", "c": "sending", "d": "sent"}
    assert standing(books, other) == {"a": "queued"}


def test_what_no_route_took_is_not_retried_but_rehomed(books: sqlite3.Connection) -> None:
    id_, other = put(books, title="homeless"), put(books)
    assert maintenance.retry_one(books, id_, NOW) + maintenance.retry_all(books, None, NOW) == 0
    ((number, _),) = maintenance.orphaned(books, id_)
    assert len(maintenance.orphaned(books, None)) == 2
    assert maintenance.requeue_orphans(books, {number: ["a", "b"]}, NOW) == 1
    assert standing(books, id_) == {UNROUTED: "rerouted", "a": "queued", "b": "queued"}
    assert column(books, "reason", id_)[0] == "to a, b: routed again"
    assert standing(books, other) == {UNROUTED: "dead"}


def test_only_old_signals_of_which_nothing_waits_are_forgotten(books: sqlite3.Connection) -> None:
    old, young, waiting, sending = (
        put(books, "a"),
        put(books, "a", accepted=NOW + 10),
        put(books, "a", "b"),
        put(books, "c"),
    )
    for id_ in (old, young):
        maintenance.drop(books, id_, NOW)
    books.execute("UPDATE deliveries SET state = 'sent' WHERE destination = 'a' AND state = 'queued'")
    begun(books, "c")
    assert maintenance.delete_old(books, NOW + 10) == 1
    assert queries.why(books, old) is None
    assert queries.states(books, old) is None
    assert all(queries.why(books, id_) is not None for id_ in (young, waiting, sending))
    assert maintenance.delete_old(books, NOW + 10) == 0


def test_forgetting_leaves_no_trace_of_deliveries_and_attempts(books: sqlite3.Connection) -> None:
    for _ in range(5):
        put(books, "a")
    for delivery in begun(books, "a"):
        ended(books, delivery, State.SENT)
    assert maintenance.delete_old(books, NOW + 1) == 5
    for table in ("signals", "deliveries", "attempts"):
        assert books.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert tallied(books) == counted(books) == {}


def test_forgetting_gives_the_space_back(books: sqlite3.Connection, tmp_path: Path) -> None:
    queue.append(books, [arrival("a", body="x" * 2000) for _ in range(2000)])
    books.execute("UPDATE deliveries SET state = 'sent'")
    books.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    full_pages, full_bytes, used = pages(books), (tmp_path / FILE_NAME).stat().st_size, queries.size(books)
    while maintenance.delete_old(books, NOW + 1):
        pass
    for _ in range(8):  # the rounds of the next hour or so
        maintenance.delete_old(books, NOW + 1)
    books.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert pages(books) < full_pages / 20
    assert (tmp_path / FILE_NAME).stat().st_size < full_bytes / 20
    assert queries.size(books) < used / 20


def test_numbers_that_were_forgotten_never_come_again_so_a_cursor_misses_nothing(books: sqlite3.Connection) -> None:
    for _ in range(3):
        put(books, "a")
    cursor = fed(books, "a")[-1].number
    books.execute("UPDATE deliveries SET state = 'sent'")
    assert maintenance.delete_old(books, NOW + 1) == 3
    later = put(books, "a")
    assert [delivery.id for delivery in fed(books, "a", after=cursor)] == [later]


def test_looking_for_what_is_old_does_not_read_what_is_young(books: sqlite3.Connection) -> None:
    plan = books.execute("EXPLAIN QUERY PLAN SELECT number FROM signals WHERE accepted + skew < 7 LIMIT 500").fetchall()
    assert "INDEX ages (<expr><?)" in plan[0][3]


def test_a_forgotten_id_is_new_again(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    maintenance.drop(books, id_, NOW)
    maintenance.delete_old(books, NOW + 1)
    assert queue.append(books, [arrival("a", id=id_)]) == [True]


def test_replay_after_forgetting_finds_nothing(books: sqlite3.Connection) -> None:
    maintenance.drop(books, put(books, "a"), NOW)
    maintenance.delete_old(books, NOW + 1)
    assert attempts.replay(books, NOW) == 0
