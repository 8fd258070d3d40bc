"""One message per key: when it is edited or posted, what it shows, and what is known afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.signals import Signal
from tocsind.policy.backoff import Retry
from tocsind.policy.batch import Batch, Footprint, form
from tocsind.policy.delivery import Delivery, Priority, Settlement, State, settle
from tocsind.policy.live_message import MAX_LINES, Editing, Line, LiveMessage, of_edit, plan_update, unambiguous
from tocsind.policy.live_update import after, build, is_message_gone
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Refused, Unknown

from .factories import NOW

OPENED, FILLED, CLOSED = (Line(order, NOW + order, title) for order, title in enumerate(("opened", "filled", "closed")))
ALIVE = LiveMessage("m1", (OPENED,))
SENT, QUEUED = Settlement(State.SENT, message="m2"), Settlement(State.QUEUED, "503")
IN_DOUBT = Settlement(State.UNKNOWN, "timeout")


def state(order: int, priority: Priority = Priority.NORMAL, **known: Any) -> Delivery:
    """A delivery of the key, with this `order`."""
    signal = Signal(f"state {order}", key="trade", timestamp=known.pop("timestamp", None), done=known.pop("done", None))
    return Delivery(order, signal, "d", priority, NOW + order, order=order, **known)


def updated(*states: Delivery, known: LiveMessage | None = None, before: Delivery | None = None) -> list[Delivery]:
    return build("trade", "webhook", known or LiveMessage(), before, states)


# --- plan_update ---------------------------------------------------------------------------------------------------------------


def test_plan_posts_first_state_and_edits_with_the_next() -> None:
    assert plan_update(LiveMessage(), [OPENED], wakes=False, doubt=False) == (None, LiveMessage(None, (OPENED,)))
    assert plan_update(ALIVE, [FILLED], wakes=False, doubt=False) == ("m1", LiveMessage("m1", (OPENED, FILLED)))


def test_plan_posts_urgent_state_again_with_its_history() -> None:
    assert plan_update(ALIVE, [FILLED], wakes=True, doubt=False) == (None, LiveMessage(None, (OPENED, FILLED)))


def test_plan_puts_late_state_into_history() -> None:
    known = LiveMessage("m1", (OPENED, CLOSED))
    assert plan_update(known, [FILLED], wakes=False, doubt=False) == ("m1", LiveMessage("m1", (OPENED, FILLED, CLOSED)))


def test_plan_shows_repeated_state_as_one_line() -> None:
    assert plan_update(ALIVE, [OPENED, FILLED], wakes=False, doubt=True) == (
        "m1",
        LiveMessage("m1", (OPENED, FILLED), maybe_duplicate=True),
    )


def test_plan_keeps_duplicate_mark_of_an_edited_message() -> None:
    _, then = plan_update(LiveMessage("m1", (OPENED,), maybe_duplicate=True), [FILLED], wakes=False, doubt=False)
    assert then.maybe_duplicate
    _, posted = plan_update(then, [CLOSED], wakes=True, doubt=False)
    assert not posted.maybe_duplicate, "there is one of it"


@given(st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=1))
def test_plan_shows_last_accepted_and_counts_every_state_in_any_order(
    rounds: list[set[int]],
) -> None:
    known, seen = LiveMessage("m1"), set[int]()
    for orders in rounds:
        fresh = orders - seen  # only a state that may not have arrived is shown twice
        if fresh:
            _, known = plan_update(known, [Line(order, 0.0, "x") for order in fresh], wakes=False, doubt=False)
            seen |= fresh
        assert known.lines[-1].order == max(seen)
        assert [line.order for line in known.lines] == sorted(line.order for line in known.lines)
        assert known.earlier + len(known.lines) == len(seen)
        assert len(known.lines) <= MAX_LINES


ENDS = {
    "lost": (Unknown("no answer"), Deferred("no answer; an edit can be made again")),
    "failed behind it": (Deferred("503", ambiguous=True), Deferred("503")),
    "limited": (Deferred("429", Cause.LIMITED, wait=2.0), Deferred("429", Cause.LIMITED, wait=2.0)),
    "done": (Delivered("m1"), Delivered("m1")),
    "refused": (Refused("400"), Refused("400")),
}


@pytest.mark.parametrize(("ended", "means"), ENDS.values(), ids=ENDS.keys())
def test_edit_outcome_is_never_ambiguous(ended: Outcome, means: Outcome) -> None:
    assert of_edit(ended) == means


# --- build ---------------------------------------------------------------------------------------------------------------------


def test_build_shows_last_of_all_claimed_deliveries() -> None:
    low, high = state(2, Priority.LOW), state(1, Priority.HIGH)
    first, second = updated(high, low)
    assert (first.number, second.number) == (1, 2)
    assert first.update is not None
    assert first.update is second.update
    assert (first.update.message, first.update.edits) == (low, None)
    assert [line.title for line in first.update.history] == ["state 1"]


def test_build_keeps_showing_a_newer_state() -> None:
    known = LiveMessage("m1", (Line(5, NOW, "state 5"),))
    (late,) = updated(state(3), known=known, before=state(5))
    assert late.update is not None
    assert (late.update.message.order, late.update.edits) == (5, "m1")
    (newer,) = updated(state(6), known=known, before=state(5))
    assert newer.update is not None
    assert newer.update.message.order == 6


def test_build_posts_first_state_of_a_new_story_without_the_ended_one() -> None:
    ended = state(1, done=True)
    (posted,) = updated(state(2), known=LiveMessage("m1", (OPENED, FILLED)), before=ended)
    assert posted.update is not None
    assert (posted.update.edits, posted.update.history, posted.update.is_repost) == (None, (), False)


@pytest.mark.parametrize("late", [state(1), state(3, done=True)], ids=["a late state", "a further end"])
def test_build_edits_the_message_of_an_ended_story_with_what_belongs_to_it(late: Delivery) -> None:
    (edited,) = updated(late, known=LiveMessage("m1", (OPENED, FILLED)), before=state(2, done=True))
    assert edited.update is not None
    assert edited.update.edits == "m1"


@pytest.mark.parametrize("priority", Priority)
def test_build_wakes_for_urgent_only(priority: Priority) -> None:
    (one,) = updated(state(2, priority), known=ALIVE)
    assert one.update is not None
    assert (one.update.edits is None) is (priority is Priority.URGENT)


def test_build_wakes_for_urgent_even_if_a_later_one_is_shown() -> None:
    last = updated(state(2, Priority.URGENT), state(3, Priority.LOW), known=ALIVE)[-1]
    assert last.update is not None
    assert (last.update.edits, last.update.message.order) == (None, 3)


def test_build_marks_shown_delivery_if_any_may_be_a_duplicate() -> None:
    last = updated(state(2, maybe_duplicate=True), state(3))[-1]
    assert last.update is not None
    assert last.update.message.maybe_duplicate
    assert not last.maybe_duplicate


def test_line_has_the_time_of_its_signal() -> None:
    (dated,) = updated(state(1, timestamp=NOW - 3600))
    assert dated.update is not None
    assert dated.update.then.lines == (Line(1, NOW - 3600, "state 1"),)


def reasons(*states: Delivery, known: LiveMessage | None = None) -> list[str | None]:
    """The reason of each after it arrived."""
    batch = updated(*states, known=known)
    retry = Retry()
    return [settle(each, Delivered("m1"), now=NOW, retry=retry, jitter=0).reason for each in batch]


def test_describe_says_how_and_by_which_state() -> None:
    first, second = state(2), state(3)
    by_second = f"shown together with {second.id}, which came later"
    assert reasons(first) == [None]
    assert reasons(first, known=ALIVE) == ["edited in place"]
    assert reasons(first, known=LiveMessage(None, (OPENED,))) == ["posted again"]
    assert reasons(first, second) == [by_second, None]
    assert reasons(first, second, known=LiveMessage(None, (OPENED,))) == [f"{by_second}: posted again", "posted again"]
    assert reasons(first, second, known=ALIVE) == [f"{by_second}: edited in place", "edited in place"]


# --- after ---------------------------------------------------------------------------------------------------------------------


def test_after_arrival_the_message_is_known() -> None:
    batch = updated(state(1), state(2))
    known = after(batch, [SENT, SENT])
    assert known == LiveMessage("m2", tuple(Line(n, NOW + n, f"state {n}") for n in (1, 2)))


@pytest.mark.parametrize("settlements", [[QUEUED], [Settlement(State.DEAD, "400")]])
def test_after_failure_nothing_changes(settlements: Sequence[Settlement]) -> None:
    assert after(updated(state(1)), settlements) is None


def test_after_delivery_without_key_nothing_changes() -> None:
    assert after([state(1)], [SENT]) is None


def test_after_unknown_post_is_marked_and_has_no_message() -> None:
    low, normal = updated(state(1, Priority.LOW), state(2))
    assert after([low, normal], [IN_DOUBT, QUEUED]) == LiveMessage(
        None, (Line(1, NOW + 1, "state 1"),), 0, maybe_duplicate=True
    )


def test_after_leaves_out_states_that_wait_again() -> None:
    states = updated(*(state(n) for n in range(MAX_LINES + 2)))  # the first two are cut off
    known = after(states, [QUEUED, IN_DOUBT, *[QUEUED] * MAX_LINES])
    assert known is not None
    assert (known.lines, known.earlier) == ((), 1)


def test_message_gone_is_recognised() -> None:
    assert is_message_gone([QUEUED, msgspec.structs.replace(QUEUED, repost=True)])
    assert not is_message_gone([QUEUED])


@pytest.mark.parametrize(
    ("editing", "edits"), [(Editing.SILENT, None), (Editing.LOUD, "m1"), (Editing.THREAD, "m1"), (Editing.STATE, "m1")]
)
def test_urgent_state_is_posted_again_only_where_edits_are_silent(editing: Editing, edits: str | None) -> None:
    known = LiveMessage("m1", (Line(1, NOW, "state 1"),))
    (urgent,) = build("trade", "hook", known, None, [state(2, Priority.URGENT)], editing=editing)
    assert urgent.update is not None
    assert urgent.update.edits == edits


def test_only_an_answer_in_a_thread_leaves_a_copy() -> None:
    assert [each for each in Editing if each.leaves_copy] == [Editing.THREAD]


def test_outcome_of_a_repeatable_request_is_never_ambiguous() -> None:
    assert unambiguous(Unknown("cut off"), "no copy") == Deferred("cut off; no copy")
    assert unambiguous(Deferred("503", ambiguous=True), "no copy") == Deferred("503")
    assert unambiguous(Refused("403"), "no copy") == Refused("403")


# --- batches -------------------------------------------------------------------------------------------------------------------


def test_batch_with_live_message_is_alone_and_full_if_others_wait() -> None:
    trade, other = Footprint(key="trade", must_be_alone=True), Footprint(key="plain")
    assert form([trade], 10, 6000) == Batch((0,), is_full=False)
    assert form([trade, trade], 10, 6000) == Batch((0,), is_full=False)  # the claim adds the second one
    assert form([trade, other], 10, 6000) == Batch((0,), is_full=True)


def test_batch_skips_live_messages() -> None:
    trade, other = Footprint(key="trade", must_be_alone=True), Footprint(key="plain")
    assert form([other, trade, other], 10, 6000).chosen == (0, 2)
