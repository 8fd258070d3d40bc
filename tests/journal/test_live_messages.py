"""Living messages in the journal: what is claimed together, what is on record of an edit, what outlives whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from tests.journal.factories import NOW, fed, folded, put, standing

from tocsin.signals import Signal
from tocsind.journal import (
    RequestStart,
    Reroute,
    SettledAttempt,
    attempts,
    digests,
    live_messages,
    maintenance,
    queries,
    rerouting,
)
from tocsind.policy.delivery import Delivery, LiveUpdate, Priority, Settlement, State

HOOK, OTHER = "one webhook", "another"


def state(books: sqlite3.Connection, title: str, *to: str, key: str = "trade", **fields: Any) -> str:
    """A signal of the key, for `a` unless said otherwise."""
    return put(books, *(to or ("a",)), title=title, key=key, **fields)


def begin(
    books: sqlite3.Connection,
    to: str = "a",
    priority: Priority = Priority.NORMAL,
    about: str | None = HOOK,
    now: float = NOW,
) -> list[Delivery]:
    """The first that waits there is claimed, and what belongs to it."""
    return attempts.begin(books, fed(books, to, priority, most=1), RequestStart(to, "channel", False, about), now)


def settle(books: sqlite3.Connection, batch: Sequence[Delivery], settlement: Settlement) -> Sequence[Reroute]:
    return attempts.settle(
        books, [SettledAttempt(each, settlement, settlement.state.value) for each in batch], NOW, None
    )


def arrive(books: sqlite3.Connection, message: str, to: str = "a", **how: Any) -> LiveUpdate:
    """What waits first there arrives as this message; how it was told."""
    batch = begin(books, to, **how)
    settle(books, batch, Settlement(State.SENT, message=message))
    assert batch[0].update is not None
    return batch[0].update


def lines(telling: LiveUpdate) -> list[str]:
    return [line.title for line in telling.then.lines]


def test_all_that_waits_of_a_key_is_claimed_by_the_first_that_goes(books: sqlite3.Connection) -> None:
    ids = [
        state(books, "opened", priority=Priority.LOW),
        state(books, "another trade", key="other"),
        state(books, "filled", priority=Priority.HIGH),
        state(books, "closed", priority=Priority.LOW),
    ]
    claimed = begin(books, priority=Priority.HIGH)
    assert [each.signal.title for each in claimed] == ["opened", "filled", "closed"]
    assert [each.attempts for each in claimed] == [1, 1, 1]
    assert [standing(books, id_)["a"] for id_ in ids] == ["sending", "queued", "sending", "sending"]
    telling = claimed[0].update
    assert telling is not None
    assert (telling.message.signal.title, telling.edits) == ("closed", None)


def test_the_message_is_known_by_destination_and_key(books: sqlite3.Connection) -> None:
    state(books, "opened", "a", "b")
    assert arrive(books, "m1").edits is None
    assert arrive(books, "m2", "b").edits is None
    state(books, "closed", "a", "b")
    told = arrive(books, "m1")
    assert (told.edits, lines(told)) == ("m1", ["opened", "closed"])
    assert arrive(books, "m2", "b").edits == "m2"
    state(books, "opened", key="other")
    assert arrive(books, "m3").edits is None


def test_where_nothing_can_be_edited_a_key_changes_nothing(books: sqlite3.Connection) -> None:
    state(books, "opened")
    state(books, "closed")
    (claimed,) = begin(books, about=None)
    assert claimed.update is None
    settle(books, [claimed], Settlement(State.SENT, message="m1"))
    (second,) = begin(books)
    assert second.update is not None
    assert second.update.edits is None


def test_a_new_webhook_under_an_old_name_begins_afresh(books: sqlite3.Connection) -> None:
    state(books, "opened")
    arrive(books, "m1")
    state(books, "filled")
    told = arrive(books, "m2", about=OTHER)
    assert (told.edits, lines(told)) == (None, ["filled"])
    state(books, "closed")
    assert arrive(books, "m2", about=OTHER).edits == "m2"


def test_what_comes_back_by_hand_after_a_later_one_is_history(books: sqlite3.Connection) -> None:
    late = state(books, "opened")
    settle(books, begin(books), Settlement(State.DEAD, "400"))
    state(books, "closed")
    arrive(books, "m1")
    assert maintenance.retry_one(books, late, NOW) == 1
    told = arrive(books, "m1")
    assert (told.edits, told.message.signal.title, lines(told)) == ("m1", "closed", ["opened", "closed"])


def test_what_comes_by_a_fallback_has_its_place_by_acceptance(books: sqlite3.Connection) -> None:
    state(books, "opened", "lost")
    state(books, "closed")
    arrive(books, "m1")
    rerouting.divert(books, "lost", ["a"], "404", NOW)
    told = arrive(books, "m1")
    assert (told.message.signal.title, lines(told)) == ("closed", ["opened", "closed"])


def test_by_a_fallback_the_states_of_a_key_are_told_together(books: sqlite3.Connection) -> None:
    for title in ("opened", "closed"):
        state(books, title, "lost")
    rerouting.divert(books, "lost", ["a"], "404", NOW)
    assert lines(arrive(books, "m1")) == ["opened", "closed"]


def test_a_message_that_is_gone_is_forgotten_and_what_it_told_is_not(books: sqlite3.Connection) -> None:
    state(books, "opened")
    arrive(books, "m1")
    state(books, "closed")
    settle(books, begin(books), Settlement(State.QUEUED, "404", repost=True))
    told = arrive(books, "m2")
    assert (told.edits, lines(told)) == (None, ["opened", "closed"])
    state(books, "audited")
    assert arrive(books, "m2").edits == "m2"


def test_a_crash_leaves_a_doubt_behind_a_post_and_none_behind_an_edit(books: sqlite3.Connection) -> None:
    state(books, "opened")
    begin(books)
    assert attempts.replay(books, NOW) == 1
    (posted,) = begin(books)
    assert posted.maybe_duplicate
    settle(books, [posted], Settlement(State.SENT, message="m1"))
    state(books, "closed")
    begin(books)
    assert attempts.replay(books, NOW) == 1
    (edited,) = begin(books)
    assert (edited.maybe_duplicate, edited.attempts) == (False, 2)
    assert edited.update is not None
    assert edited.update.message.maybe_duplicate, "the doubt of its message stays"


def test_what_is_past_its_time_is_not_told_along(books: sqlite3.Connection) -> None:
    state(books, "opened")
    state(books, "in time", expires=60.0)
    state(books, "too late", expires=5.0)
    assert [each.signal.title for each in begin(books, now=NOW + 30)] == ["opened", "in time"]


def test_why_says_what_an_attempt_was_to_edit(books: sqlite3.Connection) -> None:
    state(books, "opened")
    arrive(books, "m1")
    id_ = state(books, "closed")
    arrive(books, "m1")
    told = queries.why(books, id_)
    assert told is not None
    (attempt,) = told["deliveries"][0]["attempts"]
    assert attempt["edits"] == "m1"


def test_a_key_is_forgotten_with_the_state_that_it_showed_last(books: sqlite3.Connection) -> None:
    state(books, "opened", accepted=NOW - 100)
    arrive(books, "m1")
    state(books, "filled", accepted=NOW)
    arrive(books, "m1")
    assert maintenance.delete_old(books, NOW - 50) == 1
    assert books.execute("SELECT message FROM living").fetchall() == [("m1",)]
    assert maintenance.delete_old(books, NOW + 50) == 1
    assert books.execute("SELECT message FROM living").fetchall() == []
    state(books, "closed")
    assert lines(arrive(books, "m2")) == ["closed"]


def fold(books: sqlite3.Connection) -> set[str]:
    """The titles that a digest tells."""
    found: list[str] = []

    def tell(some: Sequence[Delivery]) -> Signal:
        found.extend(each.signal.title for each in some)
        return Signal("digest")

    digests.make_digest(books, "a", Priority.NORMAL, 100, NOW, tell, HOOK)
    return set(found)


def test_a_key_that_has_a_message_is_never_told_in_sum(books: sqlite3.Connection) -> None:
    state(books, "opened")
    arrive(books, "m1")
    state(books, "closed")
    for n in range(3):
        state(books, f"new {n}", key=f"new {n}")
    put(books, "a", title="no key")
    assert fold(books) == {"new 0", "new 1", "new 2", "no key"}


def test_what_a_digest_told_of_a_key_is_remembered_when_an_earlier_state_comes(books: sqlite3.Connection) -> None:
    state(books, "opened", priority=Priority.LOW)
    for title in ("filled", "closed"):
        state(books, title)
    assert fold(books) == {"filled", "closed"}
    told = arrive(books, "m1", priority=Priority.LOW)
    assert (told.edits, told.message.signal.title) == (None, "closed")
    assert lines(told) == ["opened", "filled", "closed"]


def test_where_nothing_can_be_edited_a_digest_takes_what_has_a_key(books: sqlite3.Connection) -> None:
    state(books, "opened")
    state(books, "closed")
    assert folded(books, "a") is not None
    assert books.execute("SELECT count(*) FROM living").fetchone() == (0,)


def test_what_is_only_looked_at_is_told_with_what_waits_and_changes_nothing(books: sqlite3.Connection) -> None:
    state(books, "opened")
    arrive(books, "m1")
    waits = state(books, "filled")
    seen = Delivery(0, Signal("closed", key="trade"), "a", Priority.NORMAL, NOW)
    telling = live_messages.preview(books, seen, HOOK).update
    assert telling is not None
    assert (telling.edits, lines(telling)) == ("m1", ["opened", "filled", "closed"])
    assert standing(books, waits) == {"a": "queued"}
    assert live_messages.preview(books, Delivery(0, Signal("no key"), "a", Priority.NORMAL, NOW), HOOK).update is None
