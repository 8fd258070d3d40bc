"""What comes out of the engine: read back as it was put in, or refused; whatever a stranger has written there."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.signals import Signal
from tocsind.journal import LaneState, LimitState
from tocsind.journal.shared import Ended, Leaving
from tocsind.journal.shared_view import Try
from tocsind.policy.delivery import Delivery, Priority
from tocsind.shared import items
from tocsind.shared.engine import Done, Stored

HERE, OFFSET = "host-1", 1000.0


def stored(*, repeats: Any = 0, retries: Any = 0, **changes: Any) -> Stored:
    """A delivery of this host as the engine has it. `changes` are of its body, by place."""
    signal = Signal("title", "body", key="k")
    delivery = Delivery(1, signal, "d", Priority.HIGH, 50.0, 70.0, skew=5.0, repeats=repeats, retries=retries)
    item = items.item_of(Leaving(delivery, "k", ends=False, raw=False), HERE, "far", OFFSET, "epoch")
    body = msgspec.msgpack.decode(item.body)
    for place, value in changes.items():
        body[int(place.removeprefix("at"))] = value
    return Stored("1-0", item.id, msgspec.msgpack.encode(body))


def test_an_item_arrives_on_the_clock_of_the_host_that_reads_it() -> None:
    far, found = items.arriving(stored(), Priority.HIGH, OFFSET + 200)
    assert (far, found.origin, found.key, found.attempted) == ("far", HERE, "k", False)
    assert (found.accepted, found.deadline) == (50.0, 70.0 - 200)
    assert found.accepted + found.skew == 55.0 - 200


@pytest.mark.parametrize("place", [4, 5, 6])
@pytest.mark.parametrize("number", [inf, -inf, nan, 1e300])
def test_an_item_with_a_number_that_no_journal_stores_is_refused(place: int, number: float) -> None:
    with pytest.raises(items.Unreadable):
        items.arriving(stored(**{f"at{place}": number}), 1, OFFSET)


@pytest.mark.parametrize(
    ("repeats", "retries", "end"), [(0, 0, "d"), (-1, 0, "d"), (2, 0, "d/2"), (0, 1, "d/0r1"), (2, 3, "d/2r3")]
)
def test_each_repetition_and_retry_has_an_id_of_its_own(repeats: int, retries: int, end: str) -> None:
    item = stored(repeats=repeats, retries=retries)
    assert item.id.split("/", 2)[2] == end
    _, found = items.arriving(item, Priority.HIGH, OFFSET)
    assert (found.repeats, found.is_again) == (max(0, repeats), "/" in end)


@pytest.mark.parametrize("place", [11, 12])
def test_an_item_whose_id_is_not_that_of_its_retry_is_refused(place: int) -> None:
    for number in (-1, 1):
        with pytest.raises(items.Unreadable):
            items.arriving(stored(**{f"at{place}": number}), 1, OFFSET)


def test_an_item_in_the_name_of_another_host_is_refused() -> None:
    for origin in ("host-2", "", "host-1/x", "a b"):
        with pytest.raises(items.Unreadable):
            items.arriving(stored(at2=origin), 1, OFFSET)


def test_an_item_of_another_version_is_left_to_a_host_that_knows_it() -> None:
    with pytest.raises(items.OtherVersion):
        items.arriving(stored(at0=2), 1, OFFSET)


@example(b"\x91\xa1\x80", "")  # a text that is none
@example(b"\x81\xa1\x80\x01", "")
@given(st.binary(max_size=200), st.text(max_size=20))
def test_no_bytes_do_more_than_be_refused(junk: bytes, id_: str) -> None:
    with pytest.raises(items.Unreadable):
        items.arriving(Stored("1-0", id_, junk), 1, OFFSET)
    with pytest.raises(items.Unreadable):
        items.ended_of(Done(id_, HERE, junk), OFFSET)
    state = {"lane far": junk, "limit endpoint:x": junk, "story far k": junk}
    assert items.lane_in(state, "far", "d", OFFSET) is None
    assert items.limits_in(state, OFFSET) == []
    assert items.stories_in(state, "far") == {}


def test_an_item_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(items.Unreadable):
        items.arriving(stored(at3=b"\x81\xa1f" + b"\x91" * 100_000), 1, OFFSET)


def test_an_end_comes_back_with_the_host_that_caused_it() -> None:
    tried = Try(1, 10.0, 10.5, "delivered", None)
    ended = Ended("host-1/s/d", HERE, "sent", None, "42", tries=[tried], doubt=True, note="host-3 began an attempt")
    back = msgspec.structs.replace(ended, sender="host-2")
    assert items.ended_of(items.done_of(ended, "host-2", OFFSET), OFFSET) == (back, "host-2")
    later, _ = items.ended_of(items.done_of(ended, "host-2", OFFSET), OFFSET - 100)
    assert later.tries == [msgspec.structs.replace(tried, started=110.0, ended=110.5)]
    digested, _ = items.ended_of(items.done_of(msgspec.structs.replace(ended, state="digested"), "host-2", 0), 0)
    assert digested.state == "sent"
    with pytest.raises(items.Unreadable):
        items.ended_of(items.done_of(msgspec.structs.replace(ended, state="queued"), "host-2", 0), 0)


def test_an_end_from_a_host_of_the_version_before_is_read() -> None:
    done = Done("host-1/s/d", HERE, msgspec.msgpack.encode(["sent", None, "42", "host-2"]))
    ended, host = items.ended_of(done, OFFSET)
    assert (ended.state, ended.tries, ended.doubt, host) == ("sent", [], False, "host-2")


def test_state_of_a_holder_is_converted_to_the_clock_of_the_next_one() -> None:
    lane = LaneState("d", about="far", failures=3, rest_until=20.0, reason="503")
    limit = LimitState("endpoint:x", blocked_until=30.0, blocked_because="429", blocked_for=9.0)
    state = items.states_of("far", lane, [limit], OFFSET)
    found = items.lane_in(state, "far", "other name", OFFSET - 5)
    assert found == msgspec.structs.replace(lane, destination="other name", rest_until=25.0)
    assert items.limits_in(state, OFFSET - 5) == [msgspec.structs.replace(limit, blocked_until=35.0)]
    bad = items.states_of("far", msgspec.structs.replace(lane, rest_until=inf), [], OFFSET)
    assert items.lane_in(bad, "far", "d", OFFSET) is None
