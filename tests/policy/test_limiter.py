from __future__ import annotations

from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import BORROW_TIME, Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import UNSTATED_WAIT, Limiter, Window, is_expedited
from tocsind.policy.outcomes import Cause, Deferred, Delivered, RateHeaders, Reach, Refused, Report, Unknown
from tocsind.policy.rate_limits import GUARD, MARGIN, ChannelLimit, HostLimit, WebhookLimit

URGENT, HIGH, NORMAL, LOW = Priority
ARRIVED = Report((Delivered("m"),))
FIVE, THIRTY = Rate(5, 2.0), Rate(30, 60.0)
requests = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.sampled_from(Priority)), max_size=60)
SAME = 1e-6  # what differs by less is the same instant


def discord(ours: Rate | None = None) -> Limiter:
    """As the documentation has it."""
    return Limiter(ours, WebhookLimit(FIVE), ChannelLimit(THIRTY), HostLimit(Rate(45, 1.1)))


def sent(
    gate: Limiter, now: float, priority: Priority = NORMAL, report: Report = ARRIVED, latency: float = 0.0
) -> float:
    """Wait for the gate, send and have the answer; when that left."""
    now = gate.ready_at(now, priority)
    gate.acquire(now, priority)
    gate.on_response(now + latency, priority, report)
    return now


def limited(reach: Reach, wait: float | None = None, reason: str = "429") -> Deferred:
    return Deferred(reason, Cause.LIMITED, reach, wait=wait)


# --- when -----------------------------------------------------------------------------------------------------------------------


@given(st.none() | st.builds(Rate, st.integers(2, 40), st.floats(0.25, 120)), requests, st.sampled_from(Priority))
def test_the_gate_opens_when_it_said_and_not_before(
    rate: Rate | None, requests: list[tuple[float, float, Priority]], priority: Priority
) -> None:
    gate, now = discord(rate), 1000.0
    for pause, latency, other in requests:
        now = sent(gate, now + pause, other, latency=latency) + latency
    when = gate.ready_at(now, priority)
    assert now <= when < inf
    assert gate.ready_at(when, priority) == when
    assert gate.wait_reason(when, priority) is None
    if when > now:
        assert gate.ready_at(nextafter(when, -inf), priority) == when
        assert gate.wait_reason(now, priority)


@given(requests)
def test_no_window_of_any_scope_holds_more_than_its_limit(requests: list[tuple[float, float, Priority]]) -> None:
    gate, now, left = discord(Rate(20, 60.0)), 1000.0, list[float]()
    for pause, latency, priority in requests:
        now = sent(gate, now + pause, priority, latency=latency)
        left.append(now)
        now += latency
    for rate in (FIVE, Rate(20, 60.0)):
        for first, one_too_many in zip(left, left[rate.count :], strict=False):
            assert one_too_many >= first + rate.per - SAME


def test_without_any_limit_the_gate_is_always_open() -> None:
    gate = Limiter(None)
    for _ in range(100):
        assert sent(gate, 5.0, LOW) == 5.0
    assert gate.ready_at(5.0, LOW, full=False) == 5.0
    assert gate.wait_reason(5.0, LOW) is None
    assert gate.rate(5.0) == inf
    assert gate.windows(5.0) == []


def test_the_last_bar_to_go_up_decides_and_says_why() -> None:
    gate = discord(Rate(1, 10.0))
    sent(gate, 100.0)
    gate.on_limited(100.0, limited(Reach.ENDPOINT, 4.0, "429 user"))
    assert (gate.ready_at(100.0, URGENT), gate.wait_reason(100.0, URGENT)) == (
        110.0,
        "the configured limit of 1 in 10 s",
    )
    gate.on_limited(100.0, limited(Reach.ENDPOINT, 40.0, "429 user"))
    assert (gate.ready_at(100.0, URGENT), gate.wait_reason(100.0, URGENT)) == (140.0, "429 user")


# --- each bar, alone: take one away and one of these says so -----------------------------------------------------------------


def test_the_users_own_limit_closes_it() -> None:
    gate = Limiter(Rate(2, 10.0))
    sent(gate, 100.0, URGENT)
    sent(gate, 101.0, URGENT)
    assert (gate.ready_at(102.0, URGENT), gate.wait_reason(102.0, URGENT)) == (
        110.0,
        "the configured limit of 2 in 10 s",
    )


def test_the_webhooks_window_closes_it() -> None:
    gate = Limiter(None, WebhookLimit(FIVE))
    for _ in range(5):
        sent(gate, 100.0, URGENT)
    assert gate.ready_at(100.0, URGENT) == 102.0 + MARGIN
    assert gate.wait_reason(100.0, URGENT) == "the webhook's limit of 5 in 2.02 s"


def test_what_the_webhooks_headers_say_closes_it() -> None:
    gate = Limiter(None, WebhookLimit(FIVE))
    sent(gate, 100.0, URGENT, Report((Delivered("m"),), RateHeaders(limit=5, remaining=0, reset_after=1.25)))
    assert gate.ready_at(100.0, URGENT) == 101.25


def test_the_channels_window_closes_it_for_all_its_webhooks() -> None:
    channel = ChannelLimit(THIRTY)
    one, other = (Limiter(None, WebhookLimit(), channel) for _ in range(2))
    for n in range(30):
        sent((one, other)[n % 2], 100.0 + n, URGENT)
    for gate in (one, other):
        assert gate.ready_at(130.0, URGENT) == 160.0 + MARGIN
        assert gate.wait_reason(130.0, URGENT) == "the channel's limit of 30 in 60.02 s"


def test_the_addresss_window_closes_it() -> None:
    address = HostLimit(Rate(45, 1.1))
    gates = [Limiter(None, address=address) for _ in range(45)]
    for gate in gates:
        sent(gate, 100.0, URGENT)
    assert gates[0].ready_at(100.0, URGENT) == 101.1
    assert gates[0].wait_reason(100.0, URGENT) == "the address's limit of 45 in 1.1 s"


def test_too_many_invalid_requests_close_it() -> None:
    gate = Limiter(None)
    for _ in range(GUARD.count):
        sent(gate, 100.0, report=Report((Refused("401"),), invalid=True))
    assert gate.ready_at(100.0, URGENT) == 100.0 + GUARD.per
    assert gate.wait_reason(100.0, URGENT) == "too many invalid requests: the guard of 500 in 600 s"


@pytest.mark.parametrize("reach", [Reach.ENDPOINT, Reach.CHANNEL, Reach.KIND])
def test_a_rate_limit_closes_it_for_every_priority_and_ends(reach: Reach) -> None:
    gate = Limiter(None)
    assert gate.on_limited(100.0, limited(reach, 8.0)) == 8.0
    assert {gate.ready_at(103.0, priority) for priority in Priority} == {108.0}
    assert gate.wait_reason(103.0, URGENT) == "429"
    assert gate.ready_at(108.0, LOW) == 108.0


def test_what_is_kept_for_those_who_press_closes_it_for_the_others() -> None:
    gate = Limiter(None, channel=ChannelLimit(THIRTY))
    for _ in range(26):
        sent(gate, 100.0, LOW)
    assert {priority: gate.ready_at(100.0, priority) for priority in Priority} == {
        URGENT: 100.0,
        HIGH: 100.0,
        NORMAL: 160.0 + MARGIN - BORROW_TIME,
        LOW: 160.0 + MARGIN - BORROW_TIME,
    }


def test_a_message_that_is_not_full_is_paced_unless_it_presses() -> None:
    gate = Limiter(None, channel=ChannelLimit(THIRTY))
    for _ in range(4):
        sent(gate, 100.0, NORMAL)
    assert gate.ready_at(100.0, NORMAL, full=True) == 100.0
    assert gate.ready_at(100.0, URGENT, full=False) == 100.0
    assert 102.0 < gate.ready_at(100.0, NORMAL, full=False) < 103.0
    assert gate.wait_reason(100.0, NORMAL, full=False) == "an even pace: more may join"


def test_a_request_counts_from_its_answer() -> None:
    gate = Limiter(None, WebhookLimit(Rate(1, 2.0)))
    sent(gate, 100.0, URGENT, latency=3.0)
    assert gate.ready_at(103.0, URGENT) == 105.0 + MARGIN


def test_a_request_without_an_answer_yet_counts_too() -> None:
    gate = Limiter(None, WebhookLimit(Rate(1, 2.0)))
    gate.acquire(100.0, URGENT)
    assert gate.ready_at(101.0, URGENT) == 103.0 + MARGIN


def test_a_request_that_never_left_counts_nowhere() -> None:
    gate = discord(Rate(1, 10.0))
    for priority in Priority:
        gate.acquire(100.0, priority)
        assert gate.ready_at(100.0, priority) > 100.0
        gate.cancel(priority)
        assert gate.ready_at(100.0, priority) == 100.0
    assert [window.count - window.left for window in gate.windows(100.0)] == [0, 0, 0, 0]


def test_a_request_that_never_reached_the_far_end_takes_nothing_from_any_limit() -> None:
    gate = discord(Rate(10, 60.0))
    for n in range(6):
        sent(gate, 100.0 + n, NORMAL)
    paced = gate.ready_at(106.0, NORMAL, full=False)
    for n in range(50):
        sent(gate, 106.0 + n / 100, NORMAL, Report((Deferred("cannot connect", unsent=True),) * 2))
    assert gate.ready_at(106.5, NORMAL, full=False) == paced
    assert {window.name: window.count - window.left for window in gate.windows(106.5)} == {
        "ours": 6,
        "webhook": 1,
        "channel": 6,
        "address": 0,
    }


def test_a_report_reached_the_far_end_unless_none_of_it_left() -> None:
    unsent = Deferred("cannot connect", unsent=True)
    assert not Report((unsent, unsent)).reached
    assert Report((unsent, Deferred("503"))).reached
    assert ARRIVED.reached


# --- what it learns ---------------------------------------------------------------------------------------------------------


def test_rate_limits_reach_as_far_as_they_say() -> None:
    channel, address = ChannelLimit(), HostLimit()
    one, sister, stranger = Limiter(None, None, channel, address), Limiter(None, None, channel, address), Limiter(None)
    kin = Limiter(None, address=address)
    one.on_limited(100.0, limited(Reach.ENDPOINT, 1.0))
    assert [gate.ready_at(100.0, URGENT) for gate in (one, sister, kin, stranger)] == [101.0, 100.0, 100.0, 100.0]
    one.on_limited(100.0, limited(Reach.CHANNEL, 2.0))
    assert [gate.ready_at(100.0, URGENT) for gate in (one, sister, kin, stranger)] == [102.0, 102.0, 100.0, 100.0]
    one.on_limited(100.0, limited(Reach.KIND, 3.0))
    assert [gate.ready_at(100.0, URGENT) for gate in (one, sister, kin, stranger)] == [103.0, 103.0, 103.0, 100.0]


def test_a_rate_limit_without_a_time_holds_for_a_moment_and_a_ban_for_longer_each_time() -> None:
    gate = Limiter(None)
    assert (
        gate.on_limited(0.0, limited(Reach.ENDPOINT)) == gate.on_limited(0.0, limited(Reach.CHANNEL)) == UNSTATED_WAIT
    )
    assert [gate.on_limited(0.0, limited(Reach.KIND)) for _ in range(2)] == [60.0, 120.0]
    sent(gate, 200.0, report=Report((Unknown("no answer"),)))
    assert gate.on_limited(300.0, limited(Reach.KIND)) == 240.0
    sent(gate, 600.0)
    assert gate.on_limited(700.0, limited(Reach.KIND)) == 60.0


def test_a_shared_429_teaches_the_channel() -> None:
    gate = discord()
    now = 100.0
    for _ in range(10):
        now = sent(gate, now, URGENT)
    gate.on_limited(now, limited(Reach.CHANNEL, 1.0))
    assert {window.name: window.count for window in gate.windows(now)}["channel"] == 8


def test_requests_of_before_a_restart_count() -> None:
    gate = Limiter(Rate(2, 10.0), WebhookLimit(FIVE))
    gate.restore_requests(92.0, expedited=True, endpoint=False)
    gate.restore_requests(97.0, expedited=False, endpoint=False)
    assert (gate.ready_at(98.0, URGENT), gate.ready_at(98.0, LOW)) == (102.0, 107.0 - BORROW_TIME)
    fresh = Limiter(None, WebhookLimit(FIVE))
    for _ in range(5):
        fresh.restore_requests(97.0, expedited=False, endpoint=True)
    assert fresh.ready_at(98.0, URGENT) == 99.0 + MARGIN


def test_wishes_make_what_is_kept_larger_in_every_window_that_is_shared() -> None:
    gate = discord(Rate(30, 60.0))
    for n in range(8):
        gate.note_demand(100.0 + n)
    assert {window.name: window.reserved for window in gate.windows(110.0)} == {
        "ours": 12,
        "webhook": 0,
        "channel": 12,
        "address": 0,
    }


# --- what people are told -----------------------------------------------------------------------------------------------------


def test_what_is_left_of_each_limit_is_told() -> None:
    gate = discord(Rate(10, 60.0))
    sent(gate, 100.0)
    assert gate.windows(100.0) == [
        Window("ours", 10, 60.0, 9, 1),
        Window("webhook", 5, 2.0 + MARGIN, 4, 0),
        Window("channel", 30, 60.0 + MARGIN, 29, 4),
        Window("address", 45, 1.1, 44, 0),
    ]


def test_what_those_who_do_not_press_may_count_on_is_the_narrowest_of_the_long_windows() -> None:
    assert discord().rate(0.0) == pytest.approx(26 / 60.02)
    assert discord(Rate(10, 60.0)).rate(0.0) == pytest.approx(9 / 60.0)
    assert Limiter(Rate(1, 60.0)).rate(0.0) == pytest.approx(1 / 60.0)


def test_a_person_may_lift_the_blocks_of_a_destination_and_not_that_of_the_address() -> None:
    gate = Limiter(None)
    assert gate.blocked_for(5.0) == 0
    gate.on_limited(5.0, limited(Reach.KIND, 5.0))
    for reach, wait in ((Reach.ENDPOINT, 10.0), (Reach.CHANNEL, 20.0)):
        gate.on_limited(5.0, limited(reach, wait))
    assert gate.blocked_for(5.0) == 20
    gate.unblock()
    assert (gate.blocked_for(5.0), gate.ready_at(5.0, LOW), gate.wait_reason(5.0, LOW)) == (5.0, 10.0, "429")
    assert (gate.blocked_for(10.0), gate.ready_at(10.0, LOW)) == (0, 10.0)


def test_urgent_and_high_press() -> None:
    assert [is_expedited(priority) for priority in Priority] == [True, True, False, False]


def test_the_longest_block_says_why() -> None:
    gate = Limiter(None)
    assert gate.blocked_because(5.0) == ""
    gate.on_limited(5.0, limited(Reach.ENDPOINT, 10.0, "429 user"))
    gate.on_limited(5.0, limited(Reach.CHANNEL, 20.0, "429 shared"))
    assert (gate.blocked_because(5.0), gate.blocked_because(25.0)) == ("429 shared", "")
