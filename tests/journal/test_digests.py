from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.journal.factories import (
    NOW,
    arrival,
    asking,
    begun,
    column,
    counted,
    ended,
    fed,
    folded,
    put,
    standing,
    tallied,
)

from tocsin.signals import Signal
from tocsind.journal import (
    FIRST,
    DigestResult,
    Reroute,
    SettledAttempt,
    attempts,
    digests,
    maintenance,
    queries,
    queue,
    rerouting,
)
from tocsind.journal.digests import MAX_IN_DIGEST
from tocsind.policy.delivery import Delivery, Priority, Settlement, State


def fold_of(books: sqlite3.Connection, count: int = 2, destination: str = "a") -> DigestResult:
    """So many signals, told in sum."""
    for _ in range(count):
        put(books, destination)
    fold = folded(books, destination)
    assert fold is not None
    return fold


def told(books: sqlite3.Connection, id_: str) -> dict[str, Any]:
    story = queries.why(books, id_)
    assert story is not None
    return story


def sent(books: sqlite3.Connection, destination: str, message: str) -> None:
    """What waits there first arrived."""
    (first, *_) = begun(books, destination, NOW + 1)
    attempts.settle(books, [SettledAttempt(first, Settlement(State.SENT, message=message), "delivered")], NOW + 2, None)


# --- folding ------------------------------------------------------------------------------------------------------------


def test_the_oldest_are_told_in_sum_and_each_says_by_which_digest(books: sqlite3.Connection) -> None:
    ids = [put(books, "a") for _ in range(5)]
    fold = folded(books, "a", most=3, now=NOW + 60)
    assert fold is not None
    assert fold.originals == tuple(ids[:3])
    assert [standing(books, id_)["a"] for id_ in ids] == ["digested"] * 3 + ["queued"] * 2
    (row,) = told(books, ids[0])["deliveries"]
    assert (row["reason"], row["since"]) == (f"replaced by digest {fold.id}", NOW + 60)
    assert row["digest"] == {"id": fold.id, "state": "queued"}
    assert row["message"] is None


def test_the_digest_is_a_signal_of_ours_owed_to_the_same_queue(books: sqlite3.Connection) -> None:
    fold = fold_of(books, 3)
    story = told(books, fold.id)
    assert (story["signal"]["title"], story["accepted"], story["stands_for"]) == ("3 in sum", NOW, 3)
    assert story["state"] == "queued"
    (delivery,) = fed(books, "a")
    assert (delivery.id, delivery.number, delivery.is_digest, delivery.deadline) == (fold.id, fold.number, True, None)


def test_a_signal_that_is_no_digest_stands_for_none(books: sqlite3.Connection) -> None:
    story = told(books, put(books, "a"))
    assert "stands_for" not in story
    assert all("digest" not in row for row in story["deliveries"])


def test_the_teller_is_given_the_deliveries_in_order(books: sqlite3.Connection) -> None:
    ids = [put(books, "a", accepted=NOW + number, price=number) for number in range(3)]
    seen: list[Delivery] = []

    def tell(some: Any) -> Signal:
        seen.extend(some)
        return Signal("told")

    digests.make_digest(books, "a", Priority.NORMAL, 10, NOW, tell)
    assert [(each.id, each.accepted, each.signal.price) for each in seen] == [
        (id_, NOW + number, number) for number, id_ in enumerate(ids)
    ]


def test_digests_go_first_in_the_order_in_which_they_were_made(books: sqlite3.Connection) -> None:
    for _ in range(4):
        put(books, "a")
    first, second = folded(books, "a", most=2), folded(books, "a", most=2)
    later = put(books, "a")
    assert first is not None
    assert second is not None
    assert [delivery.id for delivery in fed(books, "a")] == [first.id, second.id, later]
    assert FIRST < first.number < second.number < 0


def test_numbers_go_on_behind_a_digest_as_if_there_were_none(books: sqlite3.Connection) -> None:
    fold_of(books)
    highest = max(column(books, "number", put(books, "a")))
    (number,) = column(books, "number", put(books, "a"))
    assert number == highest + 1 == 4


def test_the_number_of_a_digest_that_was_forgotten_never_comes_again(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    maintenance.drop(books, fold.id, NOW)
    while maintenance.delete_old(books, NOW + 1):
        pass
    assert books.execute("SELECT count(*) FROM deliveries").fetchone() == (0,)
    assert fold_of(books).number > fold.number


def test_other_queues_are_left_alone(books: sqlite3.Connection) -> None:
    others = [put(books, "b"), put(books, "a", priority=Priority.LOW), put(books, "a", priority=Priority.URGENT)]
    fold_of(books)
    assert [list(standing(books, id_).values()) for id_ in others] == [["queued"]] * 3


def test_what_is_in_flight_or_has_a_deadline_is_not_told_in_sum(books: sqlite3.Connection) -> None:
    """A digest may go out after the deadline, and what is late is never told as if it were not."""
    in_flight = put(books, "a")
    begun(books, "a")
    late, in_time = put(books, "a", expires=10), put(books, "a", expires=1000)
    first, last = put(books, "a"), put(books, "a")
    fold = folded(books, "a", now=NOW + 10)
    assert fold is not None
    assert fold.originals == (first, last)
    assert [standing(books, id_)["a"] for id_ in (in_flight, late, in_time)] == ["sending", "queued", "queued"]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_told_as_they_are(books: sqlite3.Connection, count: int) -> None:
    ids = [put(books, "a") for _ in range(count)]
    assert folded(books, "a") is None
    assert [standing(books, id_)["a"] for id_ in ids] == ["queued"] * count
    assert books.execute("SELECT count(*) FROM signals").fetchone() == (count,)


def test_a_digest_is_never_told_by_another_and_neither_is_its_copy_at_a_fallback(books: sqlite3.Connection) -> None:
    folds = [fold_of(books), fold_of(books)]
    assert folded(books, "a") is None
    rerouting.divert(books, "a", ["b"], "404", NOW)
    mine = [put(books, "b"), put(books, "b")]
    fold = folded(books, "b")
    assert fold is not None
    assert fold.originals == tuple(mine)
    assert [standing(books, each.id)["b"] for each in folds] == ["queued", "queued"]


def test_one_commit_folds_so_many_and_the_rest_at_the_next_asking(books: sqlite3.Connection) -> None:
    queue.append(books, [arrival("a") for _ in range(MAX_IN_DIGEST + 2)])
    folds = [folded(books, "a") for _ in range(3)]
    assert [fold and len(fold.originals) for fold in folds] == [MAX_IN_DIGEST, 2, None]
    assert counted(books) == tallied(books) == {("a", 2, "digested"): MAX_IN_DIGEST + 2, ("a", 2, "queued"): 2}


def test_what_a_sender_still_holds_cannot_be_claimed_once_it_is_told_in_sum(books: sqlite3.Connection) -> None:
    put(books, "a")
    put(books, "a")
    window = fed(books, "a")
    assert folded(books, "a") is not None
    assert begun(books, "a", NOW)[0].is_digest
    assert attempts.begin(books, window, asking("a"), NOW) == []


def test_the_head_of_a_queue_is_found_by_its_index(books: sqlite3.Connection) -> None:
    plan = books.execute(
        "EXPLAIN QUERY PLAN SELECT d.number FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE d.destination = 'a' AND d.priority = 2 AND d.state = 'queued' AND (d.deadline IS NULL OR d.deadline > 7)"
        " AND s.stands_for IS NULL ORDER BY d.number LIMIT 500"
    ).fetchall()
    assert ["INDEX waiting" in plan[0][3], len(plan)] == [True, 2]


def test_a_young_digest_does_not_hide_how_old_the_queue_is(books: sqlite3.Connection) -> None:
    for seconds in (1, 2, 3):
        put(books, "a", accepted=NOW + seconds)
    folded(books, "a", most=2, now=NOW + 60)
    lane = ("a", Priority.NORMAL)
    assert queries.ages(books)[lane] == NOW + 3
    begun(books, "a")
    fold_of(books)
    assert queries.ages(books)[lane] == NOW


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12))
def test_however_a_backlog_is_folded_each_signal_is_told_once_and_in_order(
    books: sqlite3.Connection, steps: list[tuple[int, int]]
) -> None:
    """So many come, then at most so many are told in sum, again and again; who reads the queue learns of all of them as they came."""
    books.execute("BEGIN")
    came: list[str] = []
    told_by: dict[str, tuple[str, ...]] = {}
    for arriving, most in steps:
        came += [put(books, "a") for _ in range(arriving)]
        if fold := folded(books, "a", most=most):
            told_by[fold.id] = fold.originals
            assert 2 <= len(fold.originals) <= most
            assert told(books, fold.id)["stands_for"] == len(fold.originals)
    read = [id_ for delivery in fed(books, "a") for id_ in told_by.get(delivery.id, (delivery.id,))]
    assert read == came
    assert tallied(books) == counted(books)
    books.execute("ROLLBACK")


# --- how an original fares ------------------------------------------------------------------------------------------------


def test_when_the_digest_arrived_its_originals_have_its_message(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    sent(books, "a", "m77")
    for id_ in fold.originals:
        story = told(books, id_)
        assert story["state"] == "delivered"
        (row,) = story["deliveries"]
        assert (row["state"], row["message"]) == ("digested", "m77")
        assert row["digest"] == {"id": fold.id, "state": "delivered"}


def test_the_message_of_a_digest_is_that_of_no_other_destination(books: sqlite3.Connection) -> None:
    ids = [put(books, "a", "b") for _ in range(2)]
    for name in ("a", "b"):
        assert folded(books, name) is not None
    sent(books, "a", "m1")
    assert column(books, "message", ids[0]) == ["m1", None]
    assert queries.states(books, ids[0]) == "queued"
    sent(books, "b", "m2")
    assert column(books, "message", ids[0]) == ["m1", "m2"]
    assert queries.states(books, ids[0]) == "delivered"


@pytest.mark.parametrize(
    ("state", "summary"),
    [(State.QUEUED, "queued"), (State.SENT, "delivered"), (State.UNKNOWN, "delivered"), (State.DEAD, "dead")],
)
def test_an_original_fares_as_its_digest_does(books: sqlite3.Connection, state: State, summary: str) -> None:
    fold = fold_of(books)
    (digest,) = begun(books, "a")
    assert {queries.states(books, id_) for id_ in fold.originals} == {"queued"}
    ended(books, digest, state)
    for id_ in (fold.id, *fold.originals):
        assert queries.states(books, id_) == told(books, id_)["state"] == summary


def test_a_digest_that_was_handed_on_counts_where_it_went(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    (digest,) = begun(books, "a")
    assert ended(books, digest, State.DEAD, "b") == [Reroute(fold.id, "a", "b")]
    assert {queries.states(books, id_) for id_ in fold.originals} == {"queued"}
    sent(books, "b", "m5")
    assert {queries.states(books, id_) for id_ in fold.originals} == {"delivered"}
    (row,) = told(books, fold.originals[0])["deliveries"]
    assert row["message"] is None  # it names one at "a", and there is none


def test_an_original_that_went_elsewhere_too_counts_with_both(books: sqlite3.Connection) -> None:
    both = put(books, "a", "b")
    put(books, "a")
    fold = folded(books, "a")
    assert fold is not None
    sent(books, "b", "m")
    assert queries.states(books, both) == "queued"
    maintenance.drop(books, fold.id, NOW)
    assert queries.states(books, both) == "delivered"


def test_a_digest_that_was_in_flight_goes_first_again_and_in_doubt(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    begun(books, "a")
    later = put(books, "a")
    assert attempts.replay(books, NOW + 9) == 1
    again, behind = fed(books, "a")
    assert (again.id, again.maybe_duplicate, behind.id) == (fold.id, True, later)
    assert {queries.states(books, id_) for id_ in fold.originals} == {"queued"}


def test_the_queue_lists_what_was_digested(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    rows = queries.queue(books, "digested", "a", 100)
    assert [row["id"] for row in rows] == list(fold.originals)
    assert {row["reason"] for row in rows} == {f"replaced by digest {fold.id}"}
    assert [row["id"] for row in queries.queue(books, None, None, 100)] == [fold.id]


# --- what people decide, and what time does -------------------------------------------------------------------------------


def test_a_dead_digest_is_put_back_by_its_own_id_in_its_old_place(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    (digest,) = begun(books, "a")
    ended(books, digest, State.DEAD)
    put(books, "a")
    assert maintenance.retry_one(books, fold.id, NOW) == 1
    assert fed(books, "a")[0].id == fold.id
    assert {queries.states(books, id_) for id_ in fold.originals} == {"queued"}


@pytest.mark.parametrize("change", [maintenance.retry_one, maintenance.drop])
def test_an_original_is_not_put_back_or_dropped_alone_and_a_person_is_told_what_to_name(
    books: sqlite3.Connection, change: Any
) -> None:
    fold = fold_of(books)
    original = fold.originals[0]
    assert change(books, original, NOW) == 0
    assert standing(books, original) == {"a": "digested"}
    assert digests.replaced_by(books, original) == (
        f"digest {fold.id} replaces it at a: name the digest to requeue or drop it, with all that it stands for"
    )


def test_of_a_signal_that_is_told_as_itself_there_is_nothing_to_say(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    assert digests.replaced_by(books, fold.id) is None
    assert digests.replaced_by(books, put(books, "a")) is None


def test_originals_of_a_digest_that_still_waits_are_not_forgotten(books: sqlite3.Connection) -> None:
    fold = fold_of(books)
    assert maintenance.delete_old(books, NOW + 1) == 0
    sent(books, "a", "m")
    assert maintenance.delete_old(books, NOW + 1) == 2
    assert queries.why(books, fold.originals[0]) is None


def test_originals_of_a_digest_that_was_handed_on_are_kept_while_its_copy_waits(books: sqlite3.Connection) -> None:
    fold_of(books)
    rerouting.divert(books, "a", ["b"], "404", NOW)
    assert maintenance.delete_old(books, NOW + 1) == 0
    sent(books, "b", "m")
    assert maintenance.delete_old(books, NOW + 1) == 2


def test_a_digest_is_kept_until_nobody_asks_it_how_he_fared(books: sqlite3.Connection) -> None:
    both = put(books, "a", "b")
    put(books, "a")
    fold = folded(books, "a")
    assert fold is not None
    sent(books, "a", "m")
    forgotten = [maintenance.delete_old(books, NOW + 1) for _ in range(2)]
    assert forgotten == [1, 0]  # what waits at b keeps its signal, and so the digest
    assert told(books, both)["deliveries"][0]["digest"] == {"id": fold.id, "state": "delivered"}
    sent(books, "b", "m")
    assert [maintenance.delete_old(books, NOW + 1) for _ in range(3)] == [1, 1, 0]
    assert queries.why(books, fold.id) is None
