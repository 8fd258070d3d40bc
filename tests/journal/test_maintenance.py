from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.journal.factories import (
    NOW,
    arrival,
    begun,
    column,
    counted,
    digest_oldest,
    ended,
    fed,
    put,
    states_of,
    tallied,
    tried,
)

from tocsind.journal import Reroute, attempts, held, maintenance, queries, queue, rerouting
from tocsind.journal.maintenance import CHUNK
from tocsind.journal.opening import FILE_NAME
from tocsind.journal.queue import UNROUTED
from tocsind.policy.delivery import Priority, State
from tocsind.policy.quiet import Hold

NIGHT = Hold(NOW + 60, "held until 07:00 by quiet hours", is_quiet=True)
DELAY = Hold(NOW + 60, "held for 1m by the delay of its route", is_quiet=False)


def dead(database: sqlite3.Connection, destination: str = "a") -> str:
    id_ = put(database, destination)
    tried(database, destination, State.DEAD)
    return id_


def pages(database: sqlite3.Connection) -> int:
    count: int = database.execute("PRAGMA page_count").fetchone()[0]
    return count


REASONS: dict[State, Callable[[sqlite3.Connection], object]] = {
    State.QUEUED: lambda database: put(database, "a"),
    State.SENDING: lambda database: (put(database, "a"), begun(database, "a")),
    State.SENT: lambda database: (put(database, "a"), tried(database, "a", State.SENT)),
    State.UNKNOWN: lambda database: (put(database, "a"), tried(database, "a", State.UNKNOWN)),
    State.DEAD: dead,
    State.EXPIRED: lambda database: (put(database, "a", expires=5), maintenance.expire(database, NOW + 5)),
    State.REROUTED: lambda database: (put(database, "a"), rerouting.divert(database, "a", ["b"], "404", NOW)),
    State.DIGESTED: lambda database: (put(database, "a"), put(database, "a"), digest_oldest(database, "a")),
    State.SILENCED: lambda database: queue.append(
        database, [msgspec.structs.replace(arrival("a"), silence=("S", "deploy"))]
    ),
    State.HELD: lambda database: (put(database, "a"), held.hold(database, {1: NIGHT}, NOW)),
    State.SUPERSEDED: lambda database: (
        put(database, "a", key="k", holds={"a": DELAY}),
        put(database, "a", key="k", ends=True),
        held.release_delayed(database, [1], {}, NOW + 60),
    ),
    State.DROPPED: lambda database: maintenance.drop(database, put(database, "a"), NOW),
}


@pytest.mark.parametrize("state", State)
def test_every_state_is_reached_by_a_job(database: sqlite3.Connection, state: State) -> None:
    REASONS[state](database)
    assert (state.value,) in database.execute("SELECT state FROM deliveries WHERE destination = 'a'").fetchall()


def test_expire_settles_overdue_deliveries_only(database: sqlite3.Connection) -> None:
    late, in_time, patient, sending = (
        put(database, "a", expires=10),
        put(database, "a", expires=11),
        put(database, "a"),
        put(database, "b", expires=1),
    )
    begun(database, "b")
    assert maintenance.expire(database, NOW + 10) == [Reroute(late, "a")]
    assert [states_of(database, id_) for id_ in (late, in_time, patient, sending)] == [
        {"a": "expired"},
        {"a": "queued"},
        {"a": "queued"},
        {"b": "sending"},
    ]
    assert maintenance.expire(database, NOW + 10) == []


def test_next_deadline_is_the_earliest_of_waiting_deliveries(database: sqlite3.Connection) -> None:
    assert maintenance.next_deadline(database) is None
    put(database, "a")
    assert maintenance.next_deadline(database) is None
    for seconds in (30, 10, 20):
        put(database, "a", expires=seconds)
    assert maintenance.next_deadline(database) == NOW + 10
    maintenance.expire(database, NOW + 10)
    assert maintenance.next_deadline(database) == NOW + 20


def test_expire_goes_in_chunks(database: sqlite3.Connection) -> None:
    queue.append(database, [arrival("a", expires=1) for _ in range(CHUNK + 1)])
    assert [len(maintenance.expire(database, NOW + 1)) for _ in range(3)] == [CHUNK, 1, 0]


def test_divert_moves_queue_to_fallback_in_order_of_priority(database: sqlite3.Connection) -> None:
    low, normal, urgent = (put(database, "a", priority=Priority(number)) for number in (3, 2, 0))
    assert rerouting.divert(database, "a", ["b"], "404", NOW + 1) == [
        Reroute(urgent, "a", "b"),
        Reroute(normal, "a", "b"),
        Reroute(low, "a", "b"),
    ]
    assert states_of(database, urgent) == {"a": "rerouted", "b": "queued"}
    assert column(database, "reason", urgent) == ["to b: 404", None]
    assert [delivery.id for delivery in fed(database, "b", Priority.URGENT)] == [urgent]
    assert rerouting.divert(database, "a", ["b"], "404", NOW + 1) == []


def test_divert_without_fallback_is_dead_with_reason(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", "b")
    assert rerouting.divert(database, "a", ["b"], "404", NOW) == [Reroute(id_, "a", None)]
    assert states_of(database, id_) == {"a": "dead", "b": "queued"}
    assert column(database, "reason", id_) == ["404; no fallback is left", None]


def test_divert_goes_in_chunks_and_leaves_deliveries_in_flight(database: sqlite3.Connection) -> None:
    put(database, "a")
    begun(database, "a")
    queue.append(database, [arrival("a") for _ in range(2 * CHUNK + 1)])
    assert [len(rerouting.divert(database, "a", ["b"], "404", NOW)) for _ in range(4)] == [CHUNK, CHUNK, 1, 0]
    assert counted(database) == {("a", 2, "sending"): 1, ("a", 2, "rerouted"): 1001, ("b", 2, "queued"): 1001}


@pytest.mark.parametrize("state", [State.DEAD, State.UNKNOWN])
def test_retry_requeues_dead_and_unknown_with_new_patience(database: sqlite3.Connection, state: State) -> None:
    id_ = put(database, "a")
    tried(database, "a", state, doubt=True)
    assert maintenance.retry_one(database, id_, NOW + 5) == 1
    (again,) = fed(database, "a")
    assert (again.first_try, again.unknown_count, again.maybe_duplicate, again.attempts) == (None, 0, True, 1)


@pytest.mark.parametrize(
    "state", [State.QUEUED, State.SENT, State.EXPIRED, State.REROUTED, State.DIGESTED, State.DROPPED]
)
def test_retry_leaves_other_states(database: sqlite3.Connection, state: State) -> None:
    id_ = put(database, "a")
    database.execute("UPDATE deliveries SET state = ?", (state.value,))
    assert maintenance.retry_one(database, id_, NOW) == 0
    assert states_of(database, id_) == {"a": state.value}


def test_retry_all_requeues_dead_but_not_unknown_of_one_or_all_destinations(
    database: sqlite3.Connection,
) -> None:
    one, other, doubtful = dead(database, "a"), dead(database, "b"), put(database, "c")
    tried(database, "c", State.UNKNOWN)
    assert maintenance.retry_all(database, "b", NOW) == 1
    assert [states_of(database, id_) for id_ in (one, other)] == [{"a": "dead"}, {"b": "queued"}]
    assert maintenance.retry_all(database, None, NOW) == 1
    assert [states_of(database, id_) for id_ in (one, doubtful)] == [{"a": "queued"}, {"c": "unknown"}]
    assert maintenance.retry_all(database, None, NOW) == 0


def test_drop_settles_waiting_and_dead_and_leaves_the_rest(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", "b", "c", "d")
    for name, state in (("b", "dead"), ("c", "sending"), ("d", "sent")):
        database.execute("UPDATE deliveries SET state = ? WHERE destination = ?", (state, name))
    other = put(database, "a")
    assert maintenance.drop(database, id_, NOW) == 2
    assert states_of(database, id_) == {"a": "dropped", "b": "dropped", "c": "sending", "d": "sent"}
    assert states_of(database, other) == {"a": "queued"}


def test_unrouted_signal_is_not_retried_but_routed_again(database: sqlite3.Connection) -> None:
    id_, other = put(database, title="homeless"), put(database)
    assert maintenance.retry_one(database, id_, NOW) + maintenance.retry_all(database, None, NOW) == 0
    ((number, _),) = maintenance.orphaned(database, id_)
    assert len(maintenance.orphaned(database, None)) == 2
    assert maintenance.requeue_orphans(database, {number: ["a", "b"]}, NOW) == 1
    assert states_of(database, id_) == {UNROUTED: "rerouted", "a": "queued", "b": "queued"}
    assert column(database, "reason", id_)[0] == "to a, b: routed again"
    assert states_of(database, other) == {UNROUTED: "dead"}


def test_retention_deletes_only_old_signals_without_open_deliveries(database: sqlite3.Connection) -> None:
    old, young, waiting, sending = (
        put(database, "a"),
        put(database, "a", accepted=NOW + 10),
        put(database, "a", "b"),
        put(database, "c"),
    )
    for id_ in (old, young):
        maintenance.drop(database, id_, NOW)
    database.execute("UPDATE deliveries SET state = 'sent' WHERE destination = 'a' AND state = 'queued'")
    begun(database, "c")
    assert maintenance.delete_old(database, NOW + 10) == 1
    assert queries.why(database, old) is None
    assert queries.states(database, old) is None
    assert all(queries.why(database, id_) is not None for id_ in (young, waiting, sending))
    assert maintenance.delete_old(database, NOW + 10) == 0


def test_retention_deletes_deliveries_and_attempts(database: sqlite3.Connection) -> None:
    for _ in range(5):
        put(database, "a")
    for delivery in begun(database, "a"):
        ended(database, delivery, State.SENT)
    assert maintenance.delete_old(database, NOW + 1) == 5
    for table in ("signals", "deliveries", "attempts"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert tallied(database) == counted(database) == {}


def test_retention_gives_space_back(database: sqlite3.Connection, tmp_path: Path) -> None:
    queue.append(database, [arrival("a", body="x" * 2000) for _ in range(2000)])
    database.execute("UPDATE deliveries SET state = 'sent'")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    full_pages, full_bytes, used = pages(database), (tmp_path / FILE_NAME).stat().st_size, queries.size(database)
    while maintenance.delete_old(database, NOW + 1):
        pass
    for _ in range(8):  # the rounds of the next hour or so
        maintenance.delete_old(database, NOW + 1)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert pages(database) < full_pages / 20
    assert (tmp_path / FILE_NAME).stat().st_size < full_bytes / 20
    assert queries.size(database) < used / 20


def test_retention_never_frees_numbers_for_reuse(database: sqlite3.Connection) -> None:
    for _ in range(3):
        put(database, "a")
    cursor = fed(database, "a")[-1].number
    database.execute("UPDATE deliveries SET state = 'sent'")
    assert maintenance.delete_old(database, NOW + 1) == 3
    later = put(database, "a")
    assert [delivery.id for delivery in fed(database, "a", after=cursor)] == [later]


def test_retention_query_does_not_read_young_signals(database: sqlite3.Connection) -> None:
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT number FROM signals WHERE accepted + skew < 7 LIMIT 500"
    ).fetchall()
    assert "INDEX ages (<expr><?)" in plan[0][3]


def test_deleted_id_can_be_stored_again(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    maintenance.drop(database, id_, NOW)
    maintenance.delete_old(database, NOW + 1)
    assert queue.append(database, [arrival("a", id=id_)]) == [True]


def test_replay_after_retention_finds_nothing(database: sqlite3.Connection) -> None:
    maintenance.drop(database, put(database, "a"), NOW)
    maintenance.delete_old(database, NOW + 1)
    assert attempts.replay(database, NOW) == 0
