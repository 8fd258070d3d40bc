"""The result of an attempt for a delivery: the whole table, outcome by priority by history."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.policy.factories import NOW, delivery

from tocsind.policy.backoff import Retry, ceiling
from tocsind.policy.delivery import OPEN, SETTLED, Delivery, Priority, Settlement, State, expired, halved, settle
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown

RETRY = Retry(first=8.0, most=60.0, give_up=3600.0)
OLD = {"first_try": NOW - 3600.0, "attempts": 9}  # older than any give-up
IN_DOUBT = {"maybe_duplicate": True, "unknown_count": 1}
LIMITED = Deferred("429", Cause.LIMITED, Reach.ENDPOINT, wait=20.0)


class Row(NamedTuple):
    outcome: Outcome
    history: dict[str, Any]
    normal: Settlement
    low: Settlement | None = None  # None: as for the other priorities


def queued(reason: str, wait: float = 0.0, **known: Any) -> Settlement:
    return Settlement(State.QUEUED, reason, wait=wait, **known)


TABLE = {
    "it arrived": Row(Delivered("m1"), {}, Settlement(State.SENT, message="m1")),
    "it arrived, and an earlier copy may have": Row(
        Delivered("m1"), IN_DOUBT, Settlement(State.SENT, message="m1", maybe_duplicate=True, unknown_count=1)
    ),
    "it arrived in part": Row(
        Delivered("m1", "b is refused"), {}, Settlement(State.SENT, "b is refused", message="m1")
    ),
    "it arrived late": Row(Delivered(), OLD, Settlement(State.SENT)),
    "refused": Row(Refused("400"), {}, Settlement(State.DEAD, "400", copy_to_fallback=True)),
    "refused, and an earlier copy may have": Row(
        Refused("400"),
        IN_DOUBT,
        Settlement(State.DEAD, "400", maybe_duplicate=True, unknown_count=1, copy_to_fallback=True),
    ),
    "the destination is gone": Row(Refused("404", disable=True), {}, queued("404")),
    "the destination is gone, however old it is": Row(Refused("404", disable=True), OLD, queued("404")),
    "the destination is gone, and an earlier copy may have arrived": Row(
        Refused("404", disable=True), IN_DOUBT, queued("404", maybe_duplicate=True, unknown_count=1)
    ),
    "unknown": Row(
        Unknown("no answer"),
        {},
        queued("no answer", 4.0, maybe_duplicate=True, unknown_count=1),
        low=Settlement(State.UNKNOWN, "no answer", maybe_duplicate=True, unknown_count=1),
    ),
    "unknown, and old": Row(
        Unknown("no answer"),
        OLD,
        queued("no answer", 30.0, maybe_duplicate=True, unknown_count=1),
        low=Settlement(State.UNKNOWN, "no answer", maybe_duplicate=True, unknown_count=1),
    ),
    "unknown, for the second time": Row(
        Unknown("no answer"),
        IN_DOUBT,
        Settlement(State.UNKNOWN, "no answer", maybe_duplicate=True, unknown_count=2, copy_to_fallback=True),
        low=Settlement(State.UNKNOWN, "no answer", maybe_duplicate=True, unknown_count=2),
    ),
    "unknown, after a crash": Row(
        Unknown("no answer"),
        {"maybe_duplicate": True},
        queued("no answer", 4.0, maybe_duplicate=True, unknown_count=1),
        low=Settlement(State.UNKNOWN, "no answer", maybe_duplicate=True, unknown_count=1),
    ),
    "server failed": Row(Deferred("503"), {}, queued("503", 4.0)),
    "server failed, for the third time": Row(Deferred("503"), {"attempts": 3}, queued("503", 16.0, max_batch=5)),
    "server failed, and it may be the reason even in a small batch": Row(
        Deferred("503"), {"attempts": 2, "max_batch": 5}, queued("503", 8.0, max_batch=2)
    ),
    "server failed, for the first time in a small batch": Row(
        Deferred("503"), {"max_batch": 5}, queued("503", 4.0, max_batch=5)
    ),
    "server failed, and asked for a wait": Row(Deferred("503", wait=90.0), {}, queued("503", 90.0)),
    "server failed, and asked for less than the backoff": Row(Deferred("503", wait=1.0), {}, queued("503", 4.0)),
    "server failed, and may have saved it": Row(
        Deferred("503", ambiguous=True), {}, queued("503: it may have arrived", 4.0, maybe_duplicate=True)
    ),
    "server failed, and an earlier copy may have arrived": Row(
        Deferred("503"), IN_DOUBT, queued("503", 4.0, maybe_duplicate=True, unknown_count=1)
    ),
    "server failed until give-up": Row(
        Deferred("503"), OLD, Settlement(State.DEAD, "given up: 503", copy_to_fallback=True)
    ),
    "server failed until give-up, and may have saved it": Row(
        Deferred("503", ambiguous=True),
        OLD,
        Settlement(State.DEAD, "given up: 503: it may have arrived", maybe_duplicate=True, copy_to_fallback=True),
    ),
    "server failed until just before give-up": Row(Deferred("503"), {"first_try": NOW - 3599.0}, queued("503", 4.0)),
    "server failed, without a first try": Row(Deferred("503"), {"first_try": None}, queued("503", 4.0)),
    "some recipients have it": Row(Deferred("452", Cause.PARTLY), {"attempts": 2}, queued("452", 8.0, max_batch=5)),
    "some recipients never get it": Row(
        Deferred("452", Cause.PARTLY), OLD, Settlement(State.DEAD, "given up: 452", copy_to_fallback=True)
    ),
    "a rate limit: the lane waits and the delivery does not": Row(LIMITED, {}, queued("429")),
    "a rate limit never gives up": Row(
        LIMITED, {**OLD, **IN_DOUBT}, queued("429", maybe_duplicate=True, unknown_count=1)
    ),
    "batch rejected: half the batch size": Row(Deferred("400", Cause.BATCH_REJECTED), {}, queued("400", max_batch=5)),
    "small batch rejected": Row(Deferred("400", Cause.BATCH_REJECTED), {"max_batch": 3}, queued("400", max_batch=1)),
    "alone and rejected": Row(Deferred("400", Cause.BATCH_REJECTED), {"max_batch": 1}, queued("400", max_batch=1)),
    "batch mate named": Row(Deferred("400", Cause.BATCH_MATE), {}, queued("400")),
    "batch mate named, with other history": Row(
        Deferred("400", Cause.BATCH_MATE),
        {**OLD, **IN_DOUBT, "max_batch": 5, "plain_format": True},
        queued("400", maybe_duplicate=True, unknown_count=1, max_batch=5, plain_format=True),
    ),
    "edited message is gone: again at once": Row(Deferred("404", Cause.TARGET_GONE), OLD, queued("404", repost=True)),
    "format refused: plain, and alone": Row(
        Deferred("400", Cause.FORMAT),
        IN_DOUBT,
        queued("400", maybe_duplicate=True, unknown_count=1, plain_format=True, max_batch=1),
    ),
}


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_settle_table(row: Row, priority: Priority) -> None:
    expected = row.low if row.low is not None and priority is Priority.LOW else row.normal
    assert settle(delivery(priority, **row.history), row.outcome, now=NOW, retry=RETRY, jitter=0) == expected


outcomes = st.one_of(
    st.builds(Delivered),
    st.builds(Refused, st.just("r"), st.booleans()),
    st.builds(Unknown, st.just("r")),
    st.builds(
        Deferred,
        st.just("r"),
        st.sampled_from(Cause),
        st.sampled_from(Reach),
        st.none() | st.floats(0, 1e5),
        st.booleans(),
    ),
)
deliveries = st.builds(
    delivery,
    st.sampled_from(Priority),
    attempts=st.integers(1, 10**6),
    first_try=st.floats(NOW - 1e6, NOW),
    maybe_duplicate=st.booleans(),
    unknown_count=st.integers(0, 3),
    plain_format=st.booleans(),
    max_batch=st.none() | st.integers(1, 10),
)


@given(deliveries, outcomes, st.floats(0, 1, exclude_max=True))
def test_settle_keeps_duplicate_mark_and_count_of_unknowns(before: Delivery, outcome: Outcome, jitter: float) -> None:
    after = settle(before, outcome, now=NOW, retry=RETRY, jitter=jitter)
    assert after.maybe_duplicate >= before.maybe_duplicate
    assert after.unknown_count == before.unknown_count + isinstance(outcome, Unknown)


@given(deliveries, outcomes, st.floats(0, 1, exclude_max=True))
def test_settle_copies_only_final_states_and_waits_only_when_queued(
    before: Delivery, outcome: Outcome, jitter: float
) -> None:
    after = settle(before, outcome, now=NOW, retry=RETRY, jitter=jitter)
    assert after.state in {State.QUEUED, State.SENT, State.UNKNOWN, State.DEAD}
    assert not after.copy_to_fallback or after.state in {State.UNKNOWN, State.DEAD}
    assert after.copy_to_fallback or after.state is not State.DEAD
    assert after.wait == 0 or after.state is State.QUEUED
    requested = outcome.wait or 0.0 if isinstance(outcome, Deferred) else 0.0
    assert 0 <= after.wait <= max(requested, ceiling(RETRY, before.attempts))
    assert after.reason or after.state is State.SENT


@given(deliveries, outcomes, st.floats(0, 1, exclude_max=True))
def test_settle_keeps_plain_format_and_never_raises_max_batch(
    before: Delivery, outcome: Outcome, jitter: float
) -> None:
    after = settle(before, outcome, now=NOW, retry=RETRY, jitter=jitter)
    assert after.plain_format >= before.plain_format
    if before.max_batch is not None:
        assert after.max_batch is not None
        assert 1 <= after.max_batch <= before.max_batch


def test_halved_ends_at_a_batch_of_one() -> None:
    company: int | None = None
    seen = []
    while company != 1:
        seen.append(company := halved(company))
    assert seen == [5, 2, 1]
    assert halved(1) == 1


def test_digest_has_negative_number() -> None:
    assert not delivery().is_digest
    assert replace(delivery(), number=-1).is_digest


def test_open_and_settled_partition_all_states() -> None:
    assert set(State) == OPEN | SETTLED
    assert not OPEN & SETTLED
    assert {State.HELD, State.QUEUED, State.SENDING} == OPEN


def test_delivery_without_deadline_never_expires() -> None:
    assert not expired(delivery(), NOW + 1e12)


def test_delivery_expires_at_its_deadline() -> None:
    short = delivery(deadline=NOW + 5)
    assert not expired(short, NOW + 4.999)
    assert expired(short, NOW + 5)


def test_delivery_id_is_signal_id() -> None:
    one = delivery()
    assert one.id == one.signal.id


def test_priorities_sort_urgent_first_with_user_words() -> None:
    assert [priority.label for priority in sorted(Priority)] == ["urgent", "high", "normal", "low"]


def test_delivery_waits_since_its_acceptance_or_its_release() -> None:
    assert delivery(accepted=NOW, skew=5.0).waits_since == NOW + 5
    assert delivery(accepted=NOW, released=NOW + 900).waits_since == NOW + 900
