from __future__ import annotations

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from tests.journal.factories import NOW, arrival, asking, begun, column, counted, ended, fed, folded, put, standing

from tocsind.journal import Reroute, attempts, queue, rerouting
from tocsind.journal.rerouting import MAX_MOVED
from tocsind.journal.schema import open_journal
from tocsind.policy.delivery import Priority, State

URGENT, HIGH, NORMAL, LOW = Priority
WHY = "a has been failing since 2026-01-01T00:00:00Z: refused"


def given_way(books: sqlite3.Connection, *over: Priority, to: str = "b", hurried: bool = False) -> list[Reroute]:
    return [moved for _, moved in rerouting.reroute(books, "a", over, to.split(), WHY, NOW + 1, hurried=hurried)]


def test_give_way_moves_what_has_a_priority_whose_patience_is_over(books: sqlite3.Connection) -> None:
    low, normal, urgent = (put(books, "a", priority=priority) for priority in (LOW, NORMAL, URGENT))
    assert given_way(books, URGENT, NORMAL) == [Reroute(urgent, "a", "b"), Reroute(normal, "a", "b")]
    assert standing(books, urgent) == {"a": "rerouted", "b": "queued"}
    assert standing(books, low) == {"a": "queued"}
    assert column(books, "reason", urgent) == [f"to b: {WHY}", None]
    assert column(books, "hurried", urgent) == [0, 1]
    assert given_way(books, URGENT, NORMAL) == []


def test_give_way_carries_deadline_doubt_and_key_along(books: sqlite3.Connection) -> None:
    put(books, "a", priority=URGENT, expires=60, key="trade-1")
    (delivery,) = attempts.begin(books, fed(books, "a", URGENT), asking("a"), NOW)
    ended(books, delivery, State.QUEUED, doubt=True)
    given_way(books, URGENT)
    (copy,) = fed(books, "b", URGENT)
    assert (copy.deadline, copy.maybe_duplicate, copy.signal.key, copy.order) == (
        NOW + 60,
        True,
        "trade-1",
        delivery.order,
    )


def test_give_way_leaves_what_is_in_flight(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    begun(books, "a")
    assert given_way(books, *Priority) == []
    assert standing(books, id_) == {"a": "sending"}


def test_give_way_leaves_what_every_working_fallback_has_had(books: sqlite3.Connection) -> None:
    both, mine = put(books, "a", "b"), put(books, "a")
    assert given_way(books, NORMAL) == [Reroute(mine, "a", "b")]
    assert standing(books, both) == {"a": "queued", "b": "queued"}
    assert given_way(books, NORMAL, to="b c") == [Reroute(both, "a", "c")]


def test_give_way_moves_on_at_once_what_came_because_patience_was_over_elsewhere(books: sqlite3.Connection) -> None:
    came, own = put(books, "x"), put(books, "a")
    rerouting.reroute(books, "x", [NORMAL], ["a"], "x has been failing", NOW, hurried=False)
    assert given_way(books) == []
    assert given_way(books, hurried=True) == [Reroute(came, "a", "b")]
    assert standing(books, own) == {"a": "queued"}


def test_give_back_takes_the_doubt_along_and_lets_each_delivery_come_back_once(books: sqlite3.Connection) -> None:
    id_ = put(books, "x", priority=URGENT)
    rerouting.reroute(books, "x", [URGENT], ["a"], "x has been failing", NOW, hurried=False)
    (delivery,) = attempts.begin(books, fed(books, "a", URGENT), asking("a"), NOW)
    ended(books, delivery, State.QUEUED, doubt=True)
    assert [moved for _, moved in rerouting.return_to_origin(books, "a", ["c", "x"], WHY, NOW)] == [
        Reroute(id_, "a", "x")
    ]
    assert standing(books, id_) == {"x": "queued", "a": "rerouted"}
    assert column(books, "reason", id_) == ["back from a", f"back to x: {WHY}"]
    assert fed(books, "x", URGENT)[0].maybe_duplicate
    rerouting.reroute(books, "x", [URGENT], ["a"], "x has been failing", NOW, hurried=False)
    assert standing(books, id_) == {"x": "queued", "a": "rerouted"}
    assert rerouting.return_to_origin(books, "x", ["a"], WHY, NOW) == []


def test_give_back_leaves_what_is_routed_to_both_destinations(books: sqlite3.Connection) -> None:
    id_ = put(books, "x", "a")
    assert rerouting.return_to_origin(books, "a", ["x"], WHY, NOW) == []
    assert standing(books, id_) == {"x": "queued", "a": "queued"}


def test_what_comes_from_a_disabled_destination_has_its_patience_at_the_fallback(books: sqlite3.Connection) -> None:
    put(books, "x")
    rerouting.divert(books, "x", ["a"], "404", NOW)
    assert given_way(books, hurried=True) == []


def test_give_way_moves_a_digest_with_all_that_it_tells(books: sqlite3.Connection) -> None:
    ids = [put(books, "a") for _ in range(3)]
    digest = folded(books, "a")
    assert digest is not None
    assert given_way(books, NORMAL) == [Reroute(digest.id, "a", "b")]
    assert {standing(books, id_)["a"] for id_ in ids} == {"digested"}
    (copy,) = fed(books, "b")
    assert copy.id == digest.id
    assert not copy.is_digest, "at a fallback it waits among the others"


def test_give_way_goes_in_chunks_past_what_cannot_move(books: sqlite3.Connection) -> None:
    queue.append(books, [arrival("a", "b") for _ in range(MAX_MOVED + 1)])
    queue.append(books, [arrival("a") for _ in range(MAX_MOVED + 1)])
    assert [len(given_way(books, NORMAL)) for _ in range(3)] == [MAX_MOVED, 1, 0]
    assert counted(books)["a", 2, "queued"] == MAX_MOVED + 1


def test_disabled_destination_keeps_what_only_other_disabled_ones_could_take(books: sqlite3.Connection) -> None:
    id_ = put(books, "a")
    assert rerouting.divert(books, "a", ["b", "c"], "404", NOW, {"b", "c"}) == []
    assert standing(books, id_) == {"a": "queued"}
    assert rerouting.divert(books, "a", ["b", "c"], "404", NOW, {"b"}) == [Reroute(id_, "a", "c")]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
def test_signal_never_comes_back_and_is_owed_once_however_often_destinations_fail(
    moves: list[tuple[str, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        books = open_journal(Path(folder))
        id_ = put(books, "a")
        had = ["a"]
        for name, gone in moves:
            others = [other for other in "abc" if other != name]
            if gone:
                moved = rerouting.divert(books, name, others, "404", NOW)
            else:
                found = rerouting.reroute(books, name, list(Priority), others, WHY, NOW, hurried=True)
                moved = [each for _, each in found]
            had += [each.fallback for each in moved if each.fallback]
            states = standing(books, id_)
            assert len(had) == len(set(had)) == len(states)
            assert sum(state == "queued" for state in states.values()) <= 1
            assert states[had[-1]] in {"queued", "dead"}
        books.close()
