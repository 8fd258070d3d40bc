"""Whose fault a refused message is, and what that means for each alert in it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.signals import delivery

from tocsind.destinations.rejections import Rejection, verdicts
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, State, settle
from tocsind.policy.outcomes import Cause, Deferred, Outcome, Refused

UNNAMED = Rejection("400 from Discord")
ANOTHER = "400 from Discord: another alert of the same message was refused"


def judged(fault: Rejection, *batch: Delivery) -> list[Outcome]:
    return list(verdicts(fault, batch, 400))


def batch(count: int = 3, **known: Any) -> list[Delivery]:
    return [delivery(f"alert {number}", **known) for number in range(count)]


def test_named_delivery_is_sent_in_plain_format_and_the_others_unchanged() -> None:
    fault = Rejection("400", {1: ": url: bad"})
    batch_mate = Deferred(ANOTHER, Cause.BATCH_MATE)
    rejected = Deferred("400 from Discord: url: bad", Cause.FORMAT)
    assert judged(fault, *batch()) == [batch_mate, rejected, batch_mate]


def test_named_delivery_in_plain_format_is_refused() -> None:
    fault = Rejection("400", {0: ": title: bad"})
    assert judged(fault, delivery(plain=True)) == [Refused("400 from Discord: title: bad", named=True)]


def test_rejection_that_names_a_missing_embed_names_no_delivery() -> None:
    fault = Rejection("400", {7: ""})
    assert judged(fault, *batch(2)) == [Deferred("400", Cause.BATCH_REJECTED)] * 2


def test_refused_part_of_the_destination_is_no_fault_of_an_alert() -> None:
    fault = Rejection("400: username", {}, frozenset({"username"}))
    assert judged(fault, *batch()) == [Deferred("400: username", Cause.BATCH_MATE)] * 3


def test_both_may_be_named_at_once() -> None:
    fault = Rejection("400: both", {0: ""}, frozenset({"username"}))
    assert judged(fault, *batch(2)) == [
        Deferred("400 from Discord", Cause.FORMAT),
        Deferred("400: both", Cause.BATCH_MATE),
    ]


def test_without_a_name_all_go_in_smaller_company_until_one_is_alone() -> None:
    assert judged(UNNAMED, *batch()) == [Deferred("400 from Discord", Cause.BATCH_REJECTED)] * 3
    assert judged(UNNAMED, *batch(1)) == [Deferred("400 from Discord", Cause.FORMAT)]
    assert judged(UNNAMED, delivery(plain=True)) == [Refused("400 from Discord")]


def test_incurable_rejection_of_a_single_delivery_is_a_refusal() -> None:
    fault = Rejection("400 from Discord: offensive", curable=False)
    assert judged(fault, *batch()) == [Deferred("400 from Discord: offensive", Cause.BATCH_REJECTED)] * 3
    assert judged(fault, *batch(1)) == [Refused("400 from Discord: offensive")]


faults = st.builds(
    Rejection,
    st.just("400"),
    st.dictionaries(st.integers(0, 12), st.just(""), max_size=12),
    st.just(frozenset()),
    st.booleans(),
)


@given(
    count=st.integers(1, 10),
    poisoned=st.sets(st.integers(0, 9)),
    cured=st.sets(st.integers(0, 9)),
    named=st.booleans(),
    curable=st.booleans(),
)
def test_poisoned_deliveries_of_a_batch_alone_are_dead_soon(
    count: int, poisoned: set[int], cured: set[int], named: bool, curable: bool
) -> None:
    waiting, ended, requests = {n: delivery(str(n)) for n in range(count)}, dict[int, State](), 0
    while waiting:
        requests += 1
        company = min(each.max_batch or 10 for each in waiting.values())
        sent = dict(list(waiting.items())[:company])
        bad = {n for n, each in sent.items() if n in poisoned and not (each.plain_format and n in cured)}
        if not bad:
            ended |= dict.fromkeys(sent, State.SENT)
        else:
            places = {list(sent).index(n): "" for n in bad} if named else {}
            fault = Rejection("400", places, curable=curable)
            outcomes = verdicts(fault, list(sent.values()), 400)
            for (n, each), outcome in zip(sent.items(), outcomes, strict=True):
                after = settle(each, outcome, now=0.0, retry=Retry(), jitter=0.0)
                if after.state is not State.QUEUED:
                    ended[n] = after.state
                else:
                    waiting[n] = msgspec.structs.replace(
                        each, plain_format=after.plain_format, max_batch=after.max_batch
                    )
        waiting = {n: each for n, each in waiting.items() if n not in ended}
    dead = {n for n in range(count) if n in poisoned and not (curable and n in cured)}
    assert ended == {n: State.DEAD if n in dead else State.SENT for n in range(count)}
    assert requests <= 4 * count + 1


@given(fault=faults, plain=st.lists(st.booleans(), min_size=1, max_size=10))
def test_rejection_gives_each_delivery_an_outcome_that_changes_something(fault: Rejection, plain: list[bool]) -> None:
    sent = [delivery(plain=each) for each in plain]
    outcomes = verdicts(fault, sent, 400)
    assert len(outcomes) == len(sent)
    changed = [o for o in outcomes if not (isinstance(o, Deferred) and o.cause is Cause.BATCH_MATE)]
    assert changed
