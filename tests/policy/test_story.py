"""Which signal ends the story of its key, and what the digest of quiet hours makes of stories."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.factories import NOW

from tocsin.signals import Signal
from tocsind.policy.delivery import Delivery, Priority
from tocsind.policy.quiet_digest import MAX_EXPIRED, QuietDigest
from tocsind.policy.story import ends_story

URGENT, HIGH, NORMAL, LOW = Priority


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({"key": "k", "action": "CLOSE"}, True),
        ({"key": "k", "action": " closed "}, True),
        ({"key": "k", "action": "Exit"}, True),
        ({"key": "k", "action": "RESOLVED"}, True),
        ({"key": "k", "done": True}, True),
        ({"key": "k", "done": False, "action": "BUY"}, False),
        ({"key": "k"}, False),
        ({"action": "CLOSE"}, False),
        ({"done": True}, False),
    ],
)
def test_story_is_ended_by_its_action_or_by_done(fields: dict[str, Any], ends: bool) -> None:
    assert ends_story(Signal("t", **fields)) is ends


def held(order: int, title: str = "t", priority: Priority = NORMAL, **fields: Any) -> Delivery:
    return Delivery(order, Signal(title, **fields), "d", priority, NOW + 60 * order, order=order)


def test_digest_drops_stories_that_began_and_ended() -> None:
    digest = QuietDigest()
    digest.add(held(1, "down", HIGH, key="disk"))
    digest.add(held(2, "up", key="disk", done=True))
    digest.add(held(3, "BUY", key="btc", price=10))
    digest.add(held(4, "TP1", key="btc", price=12))
    digest.add(held(5, "done", LOW, key="old", action="CLOSE"), was_known=True)
    assert [(group.label, group.count, group.title) for group in digest.lines()] == [
        ("btc", 2, "TP1"),
        ("old", 1, "done"),
    ]
    assert [(group.label, group.count) for group in digest.cancelled()] == [("disk", 2)]
    assert digest.priority() is NORMAL
    assert digest.signals == 5
    assert digest.span() == (NOW + 60, NOW + 300)


def test_digest_of_stories_that_all_ended_is_low() -> None:
    digest = QuietDigest()
    digest.add(held(1, "down", URGENT, key="disk"))
    digest.add(held(2, "up", key="disk", done=True))
    assert (digest.lines(), digest.priority()) == ([], LOW)


def test_digest_takes_the_newest_state_in_any_order() -> None:
    digest = QuietDigest()
    digest.add(held(2, "again", key="k"))
    digest.add(held(1, "over", key="k", done=True))
    (group,) = digest.lines()
    assert (group.title, group.has_ended) == ("again", False)


def test_digest_counts_the_expired_and_names_some() -> None:
    digest = QuietDigest()
    for order in range(MAX_EXPIRED + 2):
        digest.add(held(order, f"late {order}"), has_expired=True)
    assert (digest.expired, len(digest.expired_titles)) == (MAX_EXPIRED + 2, MAX_EXPIRED)
    assert (digest.lines(), digest.span(), digest.priority()) == ([], None, LOW)


signals = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b", "c"]), st.sampled_from(["x", "y"]), st.booleans(), st.booleans(), st.booleans()
    )
)


@given(signals, st.randoms(use_true_random=False))
def test_digest_leaves_nothing_out_of_the_counting(
    given_: list[tuple[str | None, str, bool, bool, bool]], random: Any
) -> None:
    digest = QuietDigest()
    rows = [
        (held(order, title, key=key, done=done or None), expired, known)
        for order, (key, title, done, expired, known) in enumerate(given_)
    ]
    random.shuffle(rows)
    for delivery, expired, known in rows:
        digest.add(delivery, has_expired=expired, was_known=known and ends_story(delivery.signal))
    told = sum(group.count for group in [*digest.lines(), *digest.cancelled()])
    assert told + digest.expired == digest.signals == len(rows)
    for group in digest.cancelled():
        mine = [delivery for delivery, expired, _ in rows if delivery.signal.key == group.key and not expired]
        assert ends_story(max(mine, key=lambda each: each.order).signal)


def test_digest_has_the_worst_line_first() -> None:
    digest = QuietDigest()
    digest.add(held(1, "ended", HIGH, key="ended"), was_known=True)
    digest.add(held(2, "ended", HIGH, key="ended", done=True), was_known=True)
    digest.add(held(3, "rare"))
    for order in (4, 5):
        digest.add(held(order, "often"))
    digest.add(held(6, "worst", HIGH))
    assert [group.title for group in digest.lines()] == ["worst", "often", "rare", "ended"]
