from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
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
    request_of,
    states_of,
)

from tocsind.journal import Reroute, attempts, queue, rerouting
from tocsind.journal.opening import open_journal
from tocsind.journal.rerouting import MAX_MOVED
from tocsind.policy.delivery import Priority, State

URGENT, HIGH, NORMAL, LOW = Priority
WHY = "a has been failing since 2026-01-01T00:00:00Z: refused"


def given_way(database: sqlite3.Connection, *over: Priority, to: str = "b", hurried: bool = False) -> list[Reroute]:
    return [moved for _, moved in rerouting.reroute(database, "a", over, to.split(), WHY, NOW + 1, hurried=hurried)]


def test_reroute_moves_priorities_whose_patience_is_over(database: sqlite3.Connection) -> None:
    low, normal, urgent = (put(database, "a", priority=priority) for priority in (LOW, NORMAL, URGENT))
    assert given_way(database, URGENT, NORMAL) == [Reroute(urgent, "a", "b"), Reroute(normal, "a", "b")]
    assert states_of(database, urgent) == {"a": "rerouted", "b": "queued"}
    assert states_of(database, low) == {"a": "queued"}
    assert column(database, "reason", urgent) == [f"to b: {WHY}", None]
    assert column(database, "hurried", urgent) == [0, 1]
    assert given_way(database, URGENT, NORMAL) == []


def test_reroute_keeps_deadline_mark_and_key(database: sqlite3.Connection) -> None:
    put(database, "a", priority=URGENT, expires=60, key="trade-1")
    (delivery,) = attempts.begin(database, fed(database, "a", URGENT), request_of("a"), NOW)
    ended(database, delivery, State.QUEUED, doubt=True)
    given_way(database, URGENT)
    (copy,) = fed(database, "b", URGENT)
    assert (copy.deadline, copy.maybe_duplicate, copy.signal.key, copy.order) == (
        NOW + 60,
        True,
        "trade-1",
        delivery.order,
    )


def test_reroute_leaves_deliveries_in_flight(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    begun(database, "a")
    assert given_way(database, *Priority) == []
    assert states_of(database, id_) == {"a": "sending"}


def test_reroute_leaves_what_every_working_fallback_has_had(database: sqlite3.Connection) -> None:
    both, mine = put(database, "a", "b"), put(database, "a")
    assert given_way(database, NORMAL) == [Reroute(mine, "a", "b")]
    assert states_of(database, both) == {"a": "queued", "b": "queued"}
    assert given_way(database, NORMAL, to="b c") == [Reroute(both, "a", "c")]


def test_reroute_moves_hurried_deliveries_at_once(database: sqlite3.Connection) -> None:
    came, own = put(database, "x"), put(database, "a")
    rerouting.reroute(database, "x", [NORMAL], ["a"], "x has been failing", NOW, hurried=False)
    assert given_way(database) == []
    assert given_way(database, hurried=True) == [Reroute(came, "a", "b")]
    assert states_of(database, own) == {"a": "queued"}


def test_return_to_origin_keeps_mark_and_returns_each_delivery_once(database: sqlite3.Connection) -> None:
    id_ = put(database, "x", priority=URGENT)
    rerouting.reroute(database, "x", [URGENT], ["a"], "x has been failing", NOW, hurried=False)
    (delivery,) = attempts.begin(database, fed(database, "a", URGENT), request_of("a"), NOW)
    ended(database, delivery, State.QUEUED, doubt=True)
    assert [moved for _, moved in rerouting.return_to_origin(database, "a", ["c", "x"], WHY, NOW)] == [
        Reroute(id_, "a", "x")
    ]
    assert states_of(database, id_) == {"x": "queued", "a": "rerouted"}
    assert column(database, "reason", id_) == ["back from a", f"back to x: {WHY}"]
    assert fed(database, "x", URGENT)[0].maybe_duplicate
    rerouting.reroute(database, "x", [URGENT], ["a"], "x has been failing", NOW, hurried=False)
    assert states_of(database, id_) == {"x": "queued", "a": "rerouted"}
    assert rerouting.return_to_origin(database, "x", ["a"], WHY, NOW) == []


def test_return_to_origin_leaves_signals_routed_to_both_destinations(database: sqlite3.Connection) -> None:
    id_ = put(database, "x", "a")
    assert rerouting.return_to_origin(database, "a", ["x"], WHY, NOW) == []
    assert states_of(database, id_) == {"x": "queued", "a": "queued"}


def test_diverted_delivery_has_its_patience_at_the_fallback(database: sqlite3.Connection) -> None:
    put(database, "x")
    rerouting.divert(database, "x", ["a"], "404", NOW)
    assert given_way(database, hurried=True) == []


def test_reroute_moves_a_digest_with_its_originals(database: sqlite3.Connection) -> None:
    ids = [put(database, "a") for _ in range(3)]
    digest = digest_oldest(database, "a")
    assert digest is not None
    assert given_way(database, NORMAL) == [Reroute(digest.id, "a", "b")]
    assert {states_of(database, id_)["a"] for id_ in ids} == {"digested"}
    (copy,) = fed(database, "b")
    assert copy.id == digest.id
    assert not copy.is_digest, "at a fallback it waits among the others"


def test_reroute_goes_in_chunks_past_deliveries_that_cannot_move(database: sqlite3.Connection) -> None:
    queue.append(database, [arrival("a", "b") for _ in range(MAX_MOVED + 1)])
    queue.append(database, [arrival("a") for _ in range(MAX_MOVED + 1)])
    assert [len(given_way(database, NORMAL)) for _ in range(3)] == [MAX_MOVED, 1, 0]
    assert counted(database)["a", 2, "queued"] == MAX_MOVED + 1


def test_divert_keeps_what_only_disabled_fallbacks_could_take(database: sqlite3.Connection) -> None:
    id_ = put(database, "a")
    assert rerouting.divert(database, "a", ["b", "c"], "404", NOW, {"b", "c"}) == []
    assert states_of(database, id_) == {"a": "queued"}
    assert rerouting.divert(database, "a", ["b", "c"], "404", NOW, {"b"}) == [Reroute(id_, "a", "c")]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_any_sequence_of_reroutes_queues_a_signal_once_and_ends(
    moves: list[tuple[str, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        database = open_journal(Path(folder))
        id_ = put(database, "a")
        had = ["a"]
        for name, gone in moves:
            others = [other for other in "abc" if other != name]
            if gone:
                moved = rerouting.divert(database, name, others, "404", NOW)
            else:
                found = rerouting.reroute(database, name, list(Priority), others, WHY, NOW, hurried=True)
                moved = [each for _, each in found]
            had += [each.fallback for each in moved if each.fallback]
            states = states_of(database, id_)
            assert len(had) == len(set(had)) == len(states)
            assert sum(state == "queued" for state in states.values()) <= 1
            assert states[had[-1]] in {"queued", "dead"}
        database.close()
