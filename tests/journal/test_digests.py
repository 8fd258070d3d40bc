from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
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


def fold_of(database: sqlite3.Connection, count: int = 2, destination: str = "a") -> DigestResult:
    """A digest of so many signals."""
    for _ in range(count):
        put(database, destination)
    fold = digest_oldest(database, destination)
    assert fold is not None
    return fold


def test_raw_messages_are_not_digested(database: sqlite3.Connection) -> None:
    raw = [msgspec.structs.replace(arrival("a", payload={"content": "x"}), raw=True) for _ in range(3)]
    assert queue.append(database, raw) == [True] * 3
    assert digest_oldest(database, "a") is None
    others = [put(database, "a") for _ in range(2)]
    fold = digest_oldest(database, "a")
    assert fold is not None
    assert list(fold.originals) == others


def story_of(database: sqlite3.Connection, id_: str) -> dict[str, Any]:
    story = queries.why(database, id_)
    assert story is not None
    return story


def sent(database: sqlite3.Connection, destination: str, message: str) -> None:
    """The first waiting delivery there arrived."""
    (first, *_) = begun(database, destination, NOW + 1)
    attempts.settle(
        database, [SettledAttempt(first, Settlement(State.SENT, message=message), "delivered")], NOW + 2, None
    )


# --- making digests ---------------------------------------------------------------------------------------------------------


def test_digest_replaces_oldest_deliveries_which_name_it(database: sqlite3.Connection) -> None:
    ids = [put(database, "a") for _ in range(5)]
    fold = digest_oldest(database, "a", most=3, now=NOW + 60)
    assert fold is not None
    assert fold.originals == tuple(ids[:3])
    assert [states_of(database, id_)["a"] for id_ in ids] == ["digested"] * 3 + ["queued"] * 2
    (row,) = story_of(database, ids[0])["deliveries"]
    assert (row["reason"], row["since"]) == (f"replaced by digest {fold.id}", NOW + 60)
    assert row["digest"] == {"id": fold.id, "state": "queued"}
    assert row["message"] is None


def test_digest_is_a_signal_of_the_daemon_in_the_same_queue(database: sqlite3.Connection) -> None:
    fold = fold_of(database, 3)
    story = story_of(database, fold.id)
    assert (story["signal"]["title"], story["accepted"], story["stands_for"]) == ("3 in sum", NOW, 3)
    assert story["state"] == "queued"
    (delivery,) = fed(database, "a")
    assert (delivery.id, delivery.number, delivery.is_digest, delivery.deadline) == (fold.id, fold.number, True, None)


def test_signal_that_is_no_digest_stands_for_none(database: sqlite3.Connection) -> None:
    story = story_of(database, put(database, "a"))
    assert "stands_for" not in story
    assert all("digest" not in row for row in story["deliveries"])


def test_digest_is_made_of_deliveries_in_order(database: sqlite3.Connection) -> None:
    ids = [put(database, "a", accepted=NOW + number, price=number) for number in range(3)]
    seen: list[Delivery] = []

    def tell(some: Any) -> Signal:
        seen.extend(some)
        return Signal("told")

    digests.make_digest(database, "a", Priority.NORMAL, 10, NOW, tell)
    assert [(each.id, each.accepted, each.signal.price) for each in seen] == [
        (id_, NOW + number, number) for number, id_ in enumerate(ids)
    ]


def test_digests_go_first_in_order_of_making(database: sqlite3.Connection) -> None:
    for _ in range(4):
        put(database, "a")
    first, second = digest_oldest(database, "a", most=2), digest_oldest(database, "a", most=2)
    later = put(database, "a")
    assert first is not None
    assert second is not None
    assert [delivery.id for delivery in fed(database, "a")] == [first.id, second.id, later]
    assert FIRST < first.number < second.number < 0


def test_digest_does_not_change_numbering(database: sqlite3.Connection) -> None:
    fold_of(database)
    highest = max(column(database, "number", put(database, "a")))
    (number,) = column(database, "number", put(database, "a"))
    assert number == highest + 1 == 4


def test_digest_number_is_never_used_again(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    maintenance.drop(database, fold.id, NOW)
    while maintenance.delete_old(database, NOW + 1):
        pass
    assert database.execute("SELECT count(*) FROM deliveries").fetchone() == (0,)
    assert fold_of(database).number > fold.number


def test_digest_leaves_other_queues_alone(database: sqlite3.Connection) -> None:
    others = [
        put(database, "b"),
        put(database, "a", priority=Priority.LOW),
        put(database, "a", priority=Priority.URGENT),
    ]
    fold_of(database)
    assert [list(states_of(database, id_).values()) for id_ in others] == [["queued"]] * 3


def test_digest_leaves_out_deliveries_in_flight_or_with_deadline(database: sqlite3.Connection) -> None:
    """A digest may leave after the deadline, and an expired signal is never shown as live."""
    in_flight = put(database, "a")
    begun(database, "a")
    late, in_time = put(database, "a", expires=10), put(database, "a", expires=1000)
    first, last = put(database, "a"), put(database, "a")
    fold = digest_oldest(database, "a", now=NOW + 10)
    assert fold is not None
    assert fold.originals == (first, last)
    assert [states_of(database, id_)["a"] for id_ in (in_flight, late, in_time)] == ["sending", "queued", "queued"]


@pytest.mark.parametrize("count", [0, 1])
def test_digest_needs_two_deliveries(database: sqlite3.Connection, count: int) -> None:
    ids = [put(database, "a") for _ in range(count)]
    assert digest_oldest(database, "a") is None
    assert [states_of(database, id_)["a"] for id_ in ids] == ["queued"] * count
    assert database.execute("SELECT count(*) FROM signals").fetchone() == (count,)


def test_digest_never_replaces_digests_or_their_copies(database: sqlite3.Connection) -> None:
    folds = [fold_of(database), fold_of(database)]
    assert digest_oldest(database, "a") is None
    rerouting.divert(database, "a", ["b"], "404", NOW)
    mine = [put(database, "b"), put(database, "b")]
    fold = digest_oldest(database, "b")
    assert fold is not None
    assert fold.originals == tuple(mine)
    assert [states_of(database, each.id)["b"] for each in folds] == ["queued", "queued"]


def test_digest_is_bounded_and_the_next_replaces_the_rest(database: sqlite3.Connection) -> None:
    queue.append(database, [arrival("a") for _ in range(MAX_IN_DIGEST + 2)])
    folds = [digest_oldest(database, "a") for _ in range(3)]
    assert [fold and len(fold.originals) for fold in folds] == [MAX_IN_DIGEST, 2, None]
    assert counted(database) == tallied(database) == {("a", 2, "digested"): MAX_IN_DIGEST + 2, ("a", 2, "queued"): 2}


def test_digested_delivery_cannot_be_claimed_by_a_sender(database: sqlite3.Connection) -> None:
    put(database, "a")
    put(database, "a")
    window = fed(database, "a")
    assert digest_oldest(database, "a") is not None
    assert begun(database, "a", NOW)[0].is_digest
    assert attempts.begin(database, window, request_of("a"), NOW) == []


def test_digest_query_uses_the_index(database: sqlite3.Connection) -> None:
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT d.number FROM deliveries d JOIN signals s ON s.number = d.signal"
        " WHERE d.destination = 'a' AND d.priority = 2 AND d.state = 'queued' AND (d.deadline IS NULL OR d.deadline > 7)"
        " AND s.stands_for IS NULL ORDER BY d.number LIMIT 500"
    ).fetchall()
    assert ["INDEX waiting" in plan[0][3], len(plan)] == [True, 2]


def test_young_digest_does_not_hide_age_of_the_queue(database: sqlite3.Connection) -> None:
    for seconds in (1, 2, 3):
        put(database, "a", accepted=NOW + seconds)
    digest_oldest(database, "a", most=2, now=NOW + 60)
    lane = ("a", Priority.NORMAL)
    assert queries.ages(database)[lane] == NOW + 3
    begun(database, "a")
    fold_of(database)
    assert queries.ages(database)[lane] == NOW


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=12))
def test_any_sequence_of_digests_has_each_signal_once_and_in_order(
    database: sqlite3.Connection, steps: list[tuple[int, int]]
) -> None:
    """So many arrive, then at most so many are digested, again and again; a reader of the queue finds all of them in order."""
    database.execute("BEGIN")
    came: list[str] = []
    told_by: dict[str, tuple[str, ...]] = {}
    for arriving, most in steps:
        came += [put(database, "a") for _ in range(arriving)]
        if fold := digest_oldest(database, "a", most=most):
            told_by[fold.id] = fold.originals
            assert 2 <= len(fold.originals) <= most
            assert story_of(database, fold.id)["stands_for"] == len(fold.originals)
    read = [id_ for delivery in fed(database, "a") for id_ in told_by.get(delivery.id, (delivery.id,))]
    assert read == came
    assert tallied(database) == counted(database)
    database.execute("ROLLBACK")


# --- states of originals ------------------------------------------------------------------------------------------------------


def test_originals_have_message_of_arrived_digest(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    sent(database, "a", "m77")
    for id_ in fold.originals:
        story = story_of(database, id_)
        assert story["state"] == "delivered"
        (row,) = story["deliveries"]
        assert (row["state"], row["message"]) == ("digested", "m77")
        assert row["digest"] == {"id": fold.id, "state": "delivered"}


def test_originals_have_no_message_of_another_destination(database: sqlite3.Connection) -> None:
    ids = [put(database, "a", "b") for _ in range(2)]
    for name in ("a", "b"):
        assert digest_oldest(database, name) is not None
    sent(database, "a", "m1")
    assert column(database, "message", ids[0]) == ["m1", None]
    assert queries.states(database, ids[0]) == "queued"
    sent(database, "b", "m2")
    assert column(database, "message", ids[0]) == ["m1", "m2"]
    assert queries.states(database, ids[0]) == "delivered"


@pytest.mark.parametrize(
    ("state", "summary"),
    [(State.QUEUED, "queued"), (State.SENT, "delivered"), (State.UNKNOWN, "delivered"), (State.DEAD, "dead")],
)
def test_originals_have_the_state_of_their_digest(database: sqlite3.Connection, state: State, summary: str) -> None:
    fold = fold_of(database)
    (digest,) = begun(database, "a")
    assert {queries.states(database, id_) for id_ in fold.originals} == {"queued"}
    ended(database, digest, state)
    for id_ in (fold.id, *fold.originals):
        assert queries.states(database, id_) == story_of(database, id_)["state"] == summary


def test_originals_of_rerouted_digest_have_state_of_its_copy(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    (digest,) = begun(database, "a")
    assert ended(database, digest, State.DEAD, "b") == [Reroute(fold.id, "a", "b")]
    assert {queries.states(database, id_) for id_ in fold.originals} == {"queued"}
    sent(database, "b", "m5")
    assert {queries.states(database, id_) for id_ in fold.originals} == {"delivered"}
    (row,) = story_of(database, fold.originals[0])["deliveries"]
    assert row["message"] is None  # the digest's message is not at "a"


def test_original_at_another_destination_counts_with_both(database: sqlite3.Connection) -> None:
    both = put(database, "a", "b")
    put(database, "a")
    fold = digest_oldest(database, "a")
    assert fold is not None
    sent(database, "b", "m")
    assert queries.states(database, both) == "queued"
    maintenance.drop(database, fold.id, NOW)
    assert queries.states(database, both) == "delivered"


def test_digest_in_flight_at_crash_goes_first_again_and_is_marked(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    begun(database, "a")
    later = put(database, "a")
    assert attempts.replay(database, NOW + 9) == 1
    again, behind = fed(database, "a")
    assert (again.id, again.maybe_duplicate, behind.id) == (fold.id, True, later)
    assert {queries.states(database, id_) for id_ in fold.originals} == {"queued"}


def test_queue_lists_digested_deliveries(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    rows = queries.queue(database, "digested", "a", 100)
    assert [row["id"] for row in rows] == list(fold.originals)
    assert {row["reason"] for row in rows} == {f"replaced by digest {fold.id}"}
    assert [row["id"] for row in queries.queue(database, None, None, 100)] == [fold.id]


# --- operator and retention ---------------------------------------------------------------------------------------------------


def test_dead_digest_is_requeued_by_its_id_in_its_old_place(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    (digest,) = begun(database, "a")
    ended(database, digest, State.DEAD)
    put(database, "a")
    assert maintenance.retry_one(database, fold.id, NOW) == 1
    assert fed(database, "a")[0].id == fold.id
    assert {queries.states(database, id_) for id_ in fold.originals} == {"queued"}


@pytest.mark.parametrize("change", [maintenance.retry_one, maintenance.drop])
def test_retry_and_drop_of_an_original_name_its_digest(database: sqlite3.Connection, change: Any) -> None:
    fold = fold_of(database)
    original = fold.originals[0]
    assert change(database, original, NOW) == 0
    assert states_of(database, original) == {"a": "digested"}
    assert digests.replaced_by(database, original) == (
        f"digest {fold.id} replaces it at a: name the digest to requeue or drop it, with all that it stands for"
    )


def test_replaced_by_is_empty_for_other_signals(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    assert digests.replaced_by(database, fold.id) is None
    assert digests.replaced_by(database, put(database, "a")) is None


def test_retention_keeps_originals_of_a_waiting_digest(database: sqlite3.Connection) -> None:
    fold = fold_of(database)
    assert maintenance.delete_old(database, NOW + 1) == 0
    sent(database, "a", "m")
    assert maintenance.delete_old(database, NOW + 1) == 2
    assert queries.why(database, fold.originals[0]) is None


def test_retention_keeps_originals_while_copy_of_digest_waits(database: sqlite3.Connection) -> None:
    fold_of(database)
    rerouting.divert(database, "a", ["b"], "404", NOW)
    assert maintenance.delete_old(database, NOW + 1) == 0
    sent(database, "b", "m")
    assert maintenance.delete_old(database, NOW + 1) == 2


def test_retention_keeps_digest_as_long_as_an_original(database: sqlite3.Connection) -> None:
    both = put(database, "a", "b")
    put(database, "a")
    fold = digest_oldest(database, "a")
    assert fold is not None
    sent(database, "a", "m")
    forgotten = [maintenance.delete_old(database, NOW + 1) for _ in range(2)]
    assert forgotten == [1, 0]  # the delivery at b keeps its signal, and so the digest
    assert story_of(database, both)["deliveries"][0]["digest"] == {"id": fold.id, "state": "delivered"}
    sent(database, "b", "m")
    assert [maintenance.delete_old(database, NOW + 1) for _ in range(3)] == [1, 1, 0]
    assert queries.why(database, fold.id) is None
