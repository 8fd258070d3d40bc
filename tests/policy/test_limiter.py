from __future__ import annotations

from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.bucket import BORROW_TIME, Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import UNSTATED_WAIT, Limiter, Window, is_expedited
from tocsind.policy.outcomes import Cause, Deferred, Delivered, RateHeaders, Reach, Refused, Report, Unknown
from tocsind.policy.pace import GUARD
from tocsind.policy.rate_limits import MARGIN, ChannelLimit, HostLimit, WebhookLimit

URGENT, HIGH, NORMAL, LOW = Priority
ARRIVED = Report((Delivered("m"),))
FIVE, THIRTY = Rate(5, 2.0), Rate(30, 60.0)
requests = st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1), st.sampled_from(Priority)), max_size=60)
SAME = 1e-6  # s; a smaller difference counts as the same instant


def discord(ours: Rate | None = None) -> Limiter:
    """The limits of Discord's documentation."""
    return Limiter(ours, WebhookLimit(FIVE), ChannelLimit(THIRTY), HostLimit(Rate(45, 1.1)))


def sent(
    limiter: Limiter, now: float, priority: Priority = NORMAL, report: Report = ARRIVED, latency: float = 0.0
) -> float:
    """Wait for the limiter, send and get the answer; returns when it left."""
    now = limiter.ready_at(now, priority)
    limiter.acquire(now, priority)
    limiter.on_response(now + latency, priority, report)
    return now


def limited(reach: Reach, wait: float | None = None, reason: str = "429") -> Deferred:
    return Deferred(reason, Cause.LIMITED, reach, wait=wait)


# --- ready_at -------------------------------------------------------------------------------------------------------------------


@given(st.none() | st.builds(Rate, st.integers(2, 40), st.floats(0.25, 120)), requests, st.sampled_from(Priority))
def test_limiter_is_ready_at_its_instant_and_not_before(
    rate: Rate | None, requests: list[tuple[float, float, Priority]], priority: Priority
) -> None:
    limiter, now = discord(rate), 1000.0
    for pause, latency, other in requests:
        now = sent(limiter, now + pause, other, latency=latency) + latency
    when = limiter.ready_at(now, priority)
    assert now <= when < inf
    assert limiter.ready_at(when, priority) == when
    assert limiter.wait_reason(when, priority) is None
    if when > now:
        assert limiter.ready_at(nextafter(when, -inf), priority) == when
        assert limiter.wait_reason(now, priority)


@given(requests)
def test_limiter_keeps_every_window_within_its_limit(requests: list[tuple[float, float, Priority]]) -> None:
    limiter, now, left = discord(Rate(20, 60.0)), 1000.0, list[float]()
    for pause, latency, priority in requests:
        now = sent(limiter, now + pause, priority, latency=latency)
        left.append(now)
        now += latency
    for rate in (FIVE, Rate(20, 60.0)):
        for first, one_too_many in zip(left, left[rate.count :], strict=False):
            assert one_too_many >= first + rate.per - SAME


def test_limiter_without_limits_is_always_ready() -> None:
    limiter = Limiter(None)
    for _ in range(100):
        assert sent(limiter, 5.0, LOW) == 5.0
    assert limiter.ready_at(5.0, LOW, full=False) == 5.0
    assert limiter.wait_reason(5.0, LOW) is None
    assert limiter.rate(5.0) == inf
    assert limiter.windows(5.0) == []


def test_limiter_longest_wait_decides_and_gives_the_reason() -> None:
    limiter = discord(Rate(1, 10.0))
    sent(limiter, 100.0)
    limiter.on_limited(100.0, limited(Reach.ENDPOINT, 4.0, "429 user"))
    assert (limiter.ready_at(100.0, URGENT), limiter.wait_reason(100.0, URGENT)) == (
        110.0,
        "the configured limit of 1 in 10 s",
    )
    limiter.on_limited(100.0, limited(Reach.ENDPOINT, 40.0, "429 user"))
    assert (limiter.ready_at(100.0, URGENT), limiter.wait_reason(100.0, URGENT)) == (140.0, "429 user")


# --- each limit alone: without it, one of these tests fails ------------------------------------------------------------------


def test_limiter_waits_for_configured_limit() -> None:
    limiter = Limiter(Rate(2, 10.0))
    sent(limiter, 100.0, URGENT)
    sent(limiter, 101.0, URGENT)
    assert (limiter.ready_at(102.0, URGENT), limiter.wait_reason(102.0, URGENT)) == (
        110.0,
        "the configured limit of 2 in 10 s",
    )


def test_limiter_waits_for_webhook_window() -> None:
    limiter = Limiter(None, WebhookLimit(FIVE))
    for _ in range(5):
        sent(limiter, 100.0, URGENT)
    assert limiter.ready_at(100.0, URGENT) == 102.0 + MARGIN
    assert limiter.wait_reason(100.0, URGENT) == "the webhook's limit of 5 in 2.02 s"


def test_limiter_waits_for_webhook_headers() -> None:
    limiter = Limiter(None, WebhookLimit(FIVE))
    sent(limiter, 100.0, URGENT, Report((Delivered("m"),), RateHeaders(limit=5, remaining=0, reset_after=1.25)))
    assert limiter.ready_at(100.0, URGENT) == 101.25


def test_limiter_waits_for_channel_window_shared_by_its_webhooks() -> None:
    channel = ChannelLimit(THIRTY)
    one, other = (Limiter(None, WebhookLimit(), channel) for _ in range(2))
    for n in range(30):
        sent((one, other)[n % 2], 100.0 + n, URGENT)
    for limiter in (one, other):
        assert limiter.ready_at(130.0, URGENT) == 160.0 + MARGIN
        assert limiter.wait_reason(130.0, URGENT) == "the channel's limit of 30 in 60.02 s"


def test_limiter_waits_for_address_window() -> None:
    address = HostLimit(Rate(45, 1.1))
    limiters = [Limiter(None, address=address) for _ in range(45)]
    for limiter in limiters:
        sent(limiter, 100.0, URGENT)
    assert limiters[0].ready_at(100.0, URGENT) == 101.1
    assert limiters[0].wait_reason(100.0, URGENT) == "the address's limit of 45 in 1.1 s"


def test_limiter_names_the_window_that_a_request_waits_for() -> None:
    limiter = Limiter(None, WebhookLimit((Rate(5, 60.0), Rate(1, 1.0))))
    sent(limiter, 100.0, URGENT)
    assert limiter.wait_reason(100.0, URGENT) == "the webhook's limit of 1 in 1.02 s"
    assert [(window.name, window.count) for window in limiter.windows(100.0)] == [("webhook", 5), ("webhook", 1)]


def test_limiter_waits_after_too_many_invalid_requests() -> None:
    limiter = Limiter(None, address=HostLimit(guard=GUARD))
    for _ in range(GUARD.count):
        sent(limiter, 100.0, report=Report((Refused("401"),), invalid=True))
    assert limiter.ready_at(100.0, URGENT) == 100.0 + GUARD.per
    assert limiter.wait_reason(100.0, URGENT) == "too many invalid requests: the guard of 500 in 600 s"


@pytest.mark.parametrize("reach", [Reach.ENDPOINT, Reach.CHANNEL, Reach.KIND])
def test_limiter_block_holds_every_priority_and_ends(reach: Reach) -> None:
    limiter = Limiter(None)
    assert limiter.on_limited(100.0, limited(reach, 8.0)) == 8.0
    assert {limiter.ready_at(103.0, priority) for priority in Priority} == {108.0}
    assert limiter.wait_reason(103.0, URGENT) == "429"
    assert limiter.ready_at(108.0, LOW) == 108.0


def test_limiter_reserve_is_closed_to_normal_and_low() -> None:
    limiter = Limiter(None, channel=ChannelLimit(THIRTY))
    for _ in range(26):
        sent(limiter, 100.0, LOW)
    assert {priority: limiter.ready_at(100.0, priority) for priority in Priority} == {
        URGENT: 100.0,
        HIGH: 100.0,
        NORMAL: 160.0 + MARGIN - BORROW_TIME,
        LOW: 160.0 + MARGIN - BORROW_TIME,
    }


def test_limiter_paces_partial_message_unless_expedited() -> None:
    limiter = Limiter(None, channel=ChannelLimit(THIRTY))
    for _ in range(4):
        sent(limiter, 100.0, NORMAL)
    assert limiter.ready_at(100.0, NORMAL, full=True) == 100.0
    assert limiter.ready_at(100.0, URGENT, full=False) == 100.0
    assert 102.0 < limiter.ready_at(100.0, NORMAL, full=False) < 103.0
    assert limiter.wait_reason(100.0, NORMAL, full=False) == "an even pace: more may join"


def test_limiter_counts_request_from_its_answer() -> None:
    limiter = Limiter(None, WebhookLimit(Rate(1, 2.0)))
    sent(limiter, 100.0, URGENT, latency=3.0)
    assert limiter.ready_at(103.0, URGENT) == 105.0 + MARGIN


def test_limiter_counts_request_in_flight() -> None:
    limiter = Limiter(None, WebhookLimit(Rate(1, 2.0)))
    limiter.acquire(100.0, URGENT)
    assert limiter.ready_at(101.0, URGENT) == 103.0 + MARGIN


def test_limiter_does_not_count_cancelled_request() -> None:
    limiter = discord(Rate(1, 10.0))
    for priority in Priority:
        limiter.acquire(100.0, priority)
        assert limiter.ready_at(100.0, priority) > 100.0
        limiter.cancel(priority)
        assert limiter.ready_at(100.0, priority) == 100.0
    assert [window.count - window.left for window in limiter.windows(100.0)] == [0, 0, 0, 0]


def test_limiter_does_not_count_request_that_never_reached_the_server() -> None:
    limiter = discord(Rate(10, 60.0))
    for n in range(6):
        sent(limiter, 100.0 + n, NORMAL)
    paced = limiter.ready_at(106.0, NORMAL, full=False)
    for n in range(50):
        sent(limiter, 106.0 + n / 100, NORMAL, Report((Deferred("cannot connect", unsent=True),) * 2))
    assert limiter.ready_at(106.5, NORMAL, full=False) == paced
    assert {window.name: window.count - window.left for window in limiter.windows(106.5)} == {
        "ours": 6,
        "webhook": 1,
        "channel": 6,
        "address": 0,
    }


def test_report_reached_the_server_unless_all_outcomes_are_unsent() -> None:
    unsent = Deferred("cannot connect", unsent=True)
    assert not Report((unsent, unsent)).reached
    assert Report((unsent, Deferred("503"))).reached
    assert ARRIVED.reached


# --- on_response and on_limited ---------------------------------------------------------------------------------------------


def test_limiter_blocks_what_the_reach_says() -> None:
    channel, address = ChannelLimit(), HostLimit()
    one, sister, stranger = Limiter(None, None, channel, address), Limiter(None, None, channel, address), Limiter(None)
    kin = Limiter(None, address=address)
    one.on_limited(100.0, limited(Reach.ENDPOINT, 1.0))
    assert [limiter.ready_at(100.0, URGENT) for limiter in (one, sister, kin, stranger)] == [101.0, 100.0, 100.0, 100.0]
    one.on_limited(100.0, limited(Reach.CHANNEL, 2.0))
    assert [limiter.ready_at(100.0, URGENT) for limiter in (one, sister, kin, stranger)] == [102.0, 102.0, 100.0, 100.0]
    one.on_limited(100.0, limited(Reach.KIND, 3.0))
    assert [limiter.ready_at(100.0, URGENT) for limiter in (one, sister, kin, stranger)] == [103.0, 103.0, 103.0, 100.0]


def test_limiter_block_without_time_is_short_and_ban_grows() -> None:
    limiter = Limiter(None)
    assert (
        limiter.on_limited(0.0, limited(Reach.ENDPOINT))
        == limiter.on_limited(0.0, limited(Reach.CHANNEL))
        == UNSTATED_WAIT
    )
    assert [limiter.on_limited(0.0, limited(Reach.KIND)) for _ in range(2)] == [60.0, 120.0]
    sent(limiter, 200.0, report=Report((Unknown("no answer"),)))
    assert limiter.on_limited(300.0, limited(Reach.KIND)) == 240.0
    sent(limiter, 600.0)
    assert limiter.on_limited(700.0, limited(Reach.KIND)) == 60.0


def test_limiter_shared_429_lowers_the_channel_limit() -> None:
    limiter = discord()
    now = 100.0
    for _ in range(10):
        now = sent(limiter, now, URGENT)
    limiter.on_limited(now, limited(Reach.CHANNEL, 1.0))
    assert {window.name: window.count for window in limiter.windows(now)}["channel"] == 8


def test_limiter_counts_restored_requests() -> None:
    limiter = Limiter(Rate(2, 10.0), WebhookLimit(FIVE))
    limiter.restore_requests(92.0, expedited=True, endpoint=False)
    limiter.restore_requests(97.0, expedited=False, endpoint=False)
    assert (limiter.ready_at(98.0, URGENT), limiter.ready_at(98.0, LOW)) == (102.0, 107.0 - BORROW_TIME)
    fresh = Limiter(None, WebhookLimit(FIVE))
    for _ in range(5):
        fresh.restore_requests(97.0, expedited=False, endpoint=True)
    assert fresh.ready_at(98.0, URGENT) == 99.0 + MARGIN


def test_limiter_demand_grows_reserve_of_every_shared_window() -> None:
    limiter = discord(Rate(30, 60.0))
    for n in range(8):
        limiter.note_demand(100.0 + n)
    assert {window.name: window.reserved for window in limiter.windows(110.0)} == {
        "ours": 12,
        "webhook": 0,
        "channel": 12,
        "address": 0,
    }


# --- texts and views --------------------------------------------------------------------------------------------------------


def test_limiter_windows_show_what_is_left() -> None:
    limiter = discord(Rate(10, 60.0))
    sent(limiter, 100.0)
    assert limiter.windows(100.0) == [
        Window("ours", 10, 60.0, 9, 1),
        Window("webhook", 5, 2.0 + MARGIN, 4, 0),
        Window("channel", 30, 60.0 + MARGIN, 29, 4),
        Window("address", 45, 1.1, 44, 0),
    ]


def test_limiter_rate_is_that_of_the_webhook_where_nothing_else_limits_it() -> None:
    assert Limiter(None, WebhookLimit(Rate(1, 1.0))).rate(0.0) == pytest.approx(1 / 1.02)


def test_limiter_rate_is_that_of_the_narrowest_long_window() -> None:
    assert discord().rate(0.0) == pytest.approx(26 / 60.02)
    assert discord(Rate(10, 60.0)).rate(0.0) == pytest.approx(9 / 60.0)
    assert Limiter(Rate(1, 60.0)).rate(0.0) == pytest.approx(1 / 60.0)


def test_limiter_unblock_drops_blocks_of_destination_but_not_of_address() -> None:
    limiter = Limiter(None)
    assert limiter.blocked_for(5.0) == 0
    limiter.on_limited(5.0, limited(Reach.KIND, 5.0))
    for reach, wait in ((Reach.ENDPOINT, 10.0), (Reach.CHANNEL, 20.0)):
        limiter.on_limited(5.0, limited(reach, wait))
    assert limiter.blocked_for(5.0) == 20
    limiter.unblock()
    assert (limiter.blocked_for(5.0), limiter.ready_at(5.0, LOW), limiter.wait_reason(5.0, LOW)) == (5.0, 10.0, "429")
    assert (limiter.blocked_for(10.0), limiter.ready_at(10.0, LOW)) == (0, 10.0)


def test_urgent_and_high_are_expedited() -> None:
    assert [is_expedited(priority) for priority in Priority] == [True, True, False, False]


def test_limiter_blocked_because_is_that_of_the_longest_block() -> None:
    limiter = Limiter(None)
    assert limiter.blocked_because(5.0) == ""
    limiter.on_limited(5.0, limited(Reach.ENDPOINT, 10.0, "429 user"))
    limiter.on_limited(5.0, limited(Reach.CHANNEL, 20.0, "429 shared"))
    assert (limiter.blocked_because(5.0), limiter.blocked_because(25.0)) == ("429 shared", "")
