"""Live messages in the journal: which deliveries are claimed together, the record of an edit, and retention."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from tests.journal.factories import NOW, digest_oldest, fed, put, states_of

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
from tocsind.policy.live_message import Editing

HOOK, OTHER = "one webhook", "another"


def state(database: sqlite3.Connection, title: str, *to: str, key: str = "trade", **fields: Any) -> str:
    """A signal of the key, for `a` unless the test says otherwise."""
    return put(database, *(to or ("a",)), title=title, key=key, **fields)


def begin(
    database: sqlite3.Connection,
    to: str = "a",
    priority: Priority = Priority.NORMAL,
    about: str | None = HOOK,
    now: float = NOW,
) -> list[Delivery]:
    """Claim the first waiting delivery there, and the others of its key."""
    return attempts.begin(database, fed(database, to, priority, most=1), RequestStart(to, "channel", False, about), now)


def settle(database: sqlite3.Connection, batch: Sequence[Delivery], settlement: Settlement) -> Sequence[Reroute]:
    return attempts.settle(
        database, [SettledAttempt(each, settlement, settlement.state.value) for each in batch], NOW, None
    )


def arrive(database: sqlite3.Connection, message: str, to: str = "a", **how: Any) -> LiveUpdate:
    """The first waiting delivery there arrives as this message; returns the update."""
    batch = begin(database, to, **how)
    settle(database, batch, Settlement(State.SENT, message=message))
    assert batch[0].update is not None
    return batch[0].update


def lines(telling: LiveUpdate) -> list[str]:
    return [line.title for line in telling.then.lines]


def test_claim_takes_all_waiting_deliveries_of_a_key(database: sqlite3.Connection) -> None:
    ids = [
        state(database, "opened", priority=Priority.LOW),
        state(database, "another trade", key="other"),
        state(database, "filled", priority=Priority.HIGH),
        state(database, "closed", priority=Priority.LOW),
    ]
    claimed = begin(database, priority=Priority.HIGH)
    assert [each.signal.title for each in claimed] == ["opened", "filled", "closed"]
    assert [each.attempts for each in claimed] == [1, 1, 1]
    assert [states_of(database, id_)["a"] for id_ in ids] == ["sending", "queued", "sending", "sending"]
    telling = claimed[0].update
    assert telling is not None
    assert (telling.message.signal.title, telling.edits) == ("closed", None)


def test_message_is_known_by_destination_and_key(database: sqlite3.Connection) -> None:
    state(database, "opened", "a", "b")
    assert arrive(database, "m1").edits is None
    assert arrive(database, "m2", "b").edits is None
    state(database, "closed", "a", "b")
    update = arrive(database, "m1")
    assert (update.edits, lines(update)) == ("m1", ["opened", "closed"])
    assert arrive(database, "m2", "b").edits == "m2"
    state(database, "opened", key="other")
    assert arrive(database, "m3").edits is None


def test_key_changes_nothing_where_messages_cannot_be_edited(database: sqlite3.Connection) -> None:
    state(database, "opened")
    state(database, "closed")
    (claimed,) = begin(database, about=None)
    assert claimed.update is None
    settle(database, [claimed], Settlement(State.SENT, message="m1"))
    (second,) = begin(database)
    assert second.update is not None
    assert second.update.edits is None


def test_new_webhook_under_old_name_starts_a_new_message(database: sqlite3.Connection) -> None:
    state(database, "opened")
    arrive(database, "m1")
    state(database, "filled")
    update = arrive(database, "m2", about=OTHER)
    assert (update.edits, lines(update)) == (None, ["filled"])
    state(database, "closed")
    assert arrive(database, "m2", about=OTHER).edits == "m2"


def test_retried_older_state_becomes_history(database: sqlite3.Connection) -> None:
    late = state(database, "opened")
    settle(database, begin(database), Settlement(State.DEAD, "400"))
    state(database, "closed")
    arrive(database, "m1")
    assert maintenance.retry_one(database, late, NOW) == 1
    update = arrive(database, "m1")
    assert (update.edits, update.message.signal.title, lines(update)) == ("m1", "closed", ["opened", "closed"])


def test_rerouted_state_keeps_its_place_by_acceptance(database: sqlite3.Connection) -> None:
    state(database, "opened", "lost")
    state(database, "closed")
    arrive(database, "m1")
    rerouting.divert(database, "lost", ["a"], "404", NOW)
    update = arrive(database, "m1")
    assert (update.message.signal.title, lines(update)) == ("closed", ["opened", "closed"])


def test_fallback_shows_states_of_a_key_together(database: sqlite3.Connection) -> None:
    for title in ("opened", "closed"):
        state(database, title, "lost")
    rerouting.divert(database, "lost", ["a"], "404", NOW)
    assert lines(arrive(database, "m1")) == ["opened", "closed"]


def test_deleted_message_is_forgotten_and_its_states_are_kept(database: sqlite3.Connection) -> None:
    state(database, "opened")
    arrive(database, "m1")
    state(database, "closed")
    settle(database, begin(database), Settlement(State.QUEUED, "404", repost=True))
    update = arrive(database, "m2")
    assert (update.edits, lines(update)) == (None, ["opened", "closed"])
    state(database, "audited")
    assert arrive(database, "m2").edits == "m2"


def test_crash_marks_a_post_and_not_an_edit(database: sqlite3.Connection) -> None:
    state(database, "opened")
    begin(database)
    assert attempts.replay(database, NOW) == 1
    (posted,) = begin(database)
    assert posted.maybe_duplicate
    settle(database, [posted], Settlement(State.SENT, message="m1"))
    state(database, "closed")
    begin(database)
    assert attempts.replay(database, NOW) == 1
    (edited,) = begin(database)
    assert (edited.maybe_duplicate, edited.attempts) == (False, 2)
    assert edited.update is not None
    assert edited.update.message.maybe_duplicate, "the doubt of its message stays"


def test_replay_marks_an_answer_in_a_thread_unless_its_request_is_repeatable(database: sqlite3.Connection) -> None:
    for repeatable in (False, True):
        request = RequestStart("a", "channel", False, HOOK, Editing.THREAD, repeatable)
        state(database, f"next {repeatable}")
        attempts.begin(database, fed(database, "a", Priority.NORMAL, most=1), request, NOW)
        assert attempts.replay(database, NOW) == 1
        (again,) = attempts.begin(database, fed(database, "a", Priority.NORMAL, most=1), request, NOW)
        assert again.maybe_duplicate is not repeatable
        settle(database, [again], Settlement(State.SENT, message="m1"))


def test_replay_does_not_mark_a_repeatable_request(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", title="no key")
    request = RequestStart("a", "channel", False, repeatable=True)
    attempts.begin(database, fed(database, "a", Priority.NORMAL, most=1), request, NOW)
    assert attempts.replay(database, NOW) == 1
    (again,) = attempts.begin(database, fed(database, "a", Priority.NORMAL, most=1), request, NOW)
    assert not again.maybe_duplicate
    story = queries.why(database, id_)
    assert story is not None
    assert "edits" not in story["deliveries"][0]["attempts"][0]


def test_expired_state_is_not_claimed(database: sqlite3.Connection) -> None:
    state(database, "opened")
    state(database, "in time", expires=60.0)
    state(database, "too late", expires=5.0)
    assert [each.signal.title for each in begin(database, now=NOW + 30)] == ["opened", "in time"]


def test_why_names_the_message_that_an_attempt_edits(database: sqlite3.Connection) -> None:
    state(database, "opened")
    arrive(database, "m1")
    id_ = state(database, "closed")
    arrive(database, "m1")
    story = queries.why(database, id_)
    assert story is not None
    (attempt,) = story["deliveries"][0]["attempts"]
    assert attempt["edits"] == "m1"


def test_retention_deletes_key_with_its_last_state(database: sqlite3.Connection) -> None:
    state(database, "opened", accepted=NOW - 100)
    arrive(database, "m1")
    state(database, "filled", accepted=NOW)
    arrive(database, "m1")
    assert maintenance.delete_old(database, NOW - 50) == 1
    assert database.execute("SELECT message FROM living").fetchall() == [("m1",)]
    assert maintenance.delete_old(database, NOW + 50) == 1
    assert database.execute("SELECT message FROM living").fetchall() == []
    state(database, "closed")
    assert lines(arrive(database, "m2")) == ["closed"]


def fold(database: sqlite3.Connection) -> set[str]:
    """The titles of a digest's originals."""
    found: list[str] = []

    def tell(some: Sequence[Delivery]) -> Signal:
        found.extend(each.signal.title for each in some)
        return Signal("digest")

    digests.make_digest(database, "a", Priority.NORMAL, 100, NOW, tell, HOOK)
    return set(found)


def test_key_with_message_is_never_digested(database: sqlite3.Connection) -> None:
    state(database, "opened")
    arrive(database, "m1")
    state(database, "closed")
    for n in range(3):
        state(database, f"new {n}", key=f"new {n}")
    put(database, "a", title="no key")
    assert fold(database) == {"new 0", "new 1", "new 2", "no key"}


def test_digested_states_of_a_key_are_kept_for_later_ones(database: sqlite3.Connection) -> None:
    state(database, "opened", priority=Priority.LOW)
    for title in ("filled", "closed"):
        state(database, title)
    assert fold(database) == {"filled", "closed"}
    update = arrive(database, "m1", priority=Priority.LOW)
    assert (update.edits, update.message.signal.title) == (None, "closed")
    assert lines(update) == ["opened", "filled", "closed"]


def test_key_is_digested_where_messages_cannot_be_edited(database: sqlite3.Connection) -> None:
    state(database, "opened")
    state(database, "closed")
    assert digest_oldest(database, "a") is not None
    assert database.execute("SELECT count(*) FROM living").fetchone() == (0,)


def test_preview_shows_update_and_changes_nothing(database: sqlite3.Connection) -> None:
    state(database, "opened")
    arrive(database, "m1")
    waits = state(database, "filled")
    seen = Delivery(0, Signal("closed", key="trade"), "a", Priority.NORMAL, NOW)
    telling = live_messages.preview(database, seen, HOOK).update
    assert telling is not None
    assert (telling.edits, lines(telling)) == ("m1", ["opened", "filled", "closed"])
    assert states_of(database, waits) == {"a": "queued"}
    assert (
        live_messages.preview(database, Delivery(0, Signal("no key"), "a", Priority.NORMAL, NOW), HOOK).update is None
    )
