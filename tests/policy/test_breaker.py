from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tocsind.policy.breaker import Breaker, BreakerLimits, Phase, SavedBreaker

LIMITS = BreakerLimits(failures=3, rest=10.0, most=35.0)


class BreakerLaw(RuleBasedStateMachine):
    """The breaker as a model of plain numbers: failures in a row, rests in a row, and one probe."""

    @initialize(failures=st.integers(1, 4), rest=st.floats(0.5, 20), most=st.floats(1, 200))
    def begin(self, failures: int, rest: float, most: float) -> None:
        self.limits = BreakerLimits(failures, rest, most)
        self.breaker = Breaker(self.limits)
        self.now = 0.0
        self.in_a_row = 0
        self.rests = 0
        self.rest_ends: float | None = None  # None: ready
        self.probe_is_out = False

    @rule(seconds=st.floats(0, 50))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.probe_is_out)
    @rule()
    def wait_until_it_said(self) -> None:
        self.now = self.breaker.ready_at(self.now)
        assert self.breaker.ready_at(self.now) == self.now

    @precondition(lambda self: self.breaker.ready_at(self.now) == self.now)
    @rule()
    def send(self) -> None:
        self.breaker.acquire()
        self.probe_is_out = self.rest_ends is not None

    @rule()
    def it_passed(self) -> None:
        assert self.breaker.succeeded() is (self.rest_ends is not None)
        self.in_a_row, self.rests, self.rest_ends, self.probe_is_out = 0, 0, None, False

    @rule()
    def it_failed(self) -> None:
        self.in_a_row += 1
        trips = self.rest_ends is None and self.in_a_row >= self.limits.failures
        assert self.breaker.failed(self.now, f"failure {self.in_a_row}") is trips
        assert self.breaker.reason == f"failure {self.in_a_row}"
        if trips or self.probe_is_out:
            self.rest_ends = self.now + min(self.limits.most, self.limits.rest * 2**self.rests)
            self.rests += 1
        self.probe_is_out = False

    @rule()
    def the_permit_comes_back(self) -> None:
        self.breaker.release(self.now)
        if self.probe_is_out:
            self.rest_ends, self.probe_is_out = self.now, False

    @precondition(lambda self: not self.probe_is_out)
    @rule(offset=st.floats(-1e6, 1e6))
    def restart(self, offset: float) -> None:
        """The monotonic clock starts at another value, and the breaker continues."""
        memory = self.breaker.saved(self.now)
        if self.rest_ends is not None:
            length = min(self.limits.most, self.limits.rest * 2 ** (self.rests - 1))
            self.rest_ends = offset + min(max(0.0, self.rest_ends - self.now), length)
        self.now = offset
        self.breaker = Breaker(self.limits)
        self.breaker.restore(memory, offset)

    @invariant()
    def it_answers_by_the_law(self) -> None:
        if self.probe_is_out:
            expected = inf
        elif self.rest_ends is None:
            expected = self.now
        else:
            expected = max(self.now, self.rest_ends)
        assert self.breaker.ready_at(self.now) == expected

    @invariant()
    def it_is_ready_exactly_when_fewer_failed_in_a_row_than_allowed(self) -> None:
        assert (self.breaker.phase is Phase.READY) == (self.breaker.failures < self.limits.failures)

    @invariant()
    def no_rest_is_longer_than_the_longest(self) -> None:
        if self.breaker.phase is Phase.FAILING:
            assert (
                self.breaker.until - self.now <= self.limits.most + 1e-6
            )  # a restart costs the last digits of a float


TestBreakerLaw = BreakerLaw.TestCase
TestBreakerLaw.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker(LIMITS)
    assert [breaker.failed(now, "503") for _ in range(3)] == [False, False, True]
    return breaker


def probing(now: float) -> Breaker:
    breaker = tripped()
    breaker.acquire()
    assert breaker.ready_at(now) == inf
    return breaker


def test_breaker_starts_ready() -> None:
    assert repr(Breaker(LIMITS)) == "<Breaker ready failures=0 rests=0 until=0>"


def test_breaker_opens_at_its_limit_and_rests() -> None:
    breaker = tripped(now=100.0)
    assert repr(breaker) == "<Breaker failing failures=3 rests=1 until=110>"
    assert breaker.ready_at(100.0) == 110.0
    assert breaker.ready_at(111.0) == 111.0


def test_breaker_counts_from_zero_after_a_success() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(10):
        assert [breaker.failed(0.0, "503"), breaker.failed(0.0, "503"), breaker.succeeded()] == [False, False, False]
    assert breaker.phase is Phase.READY


def test_breaker_rest_doubles_with_each_failed_probe_up_to_most() -> None:
    breaker, rests = tripped(), list[float]()
    for _ in range(70):  # more doublings than a float can hold
        now = breaker.until
        breaker.acquire()
        assert breaker.failed(now, "503") is False
        rests.append(breaker.until - now)
    assert rests[:2] == [20.0, 35.0]
    assert set(rests[2:]) == {35.0}


def test_breaker_rest_is_short_again_after_recovery() -> None:
    breaker = tripped()
    breaker.acquire()
    breaker.failed(10.0, "503")
    breaker.acquire()
    assert breaker.succeeded() is True
    assert repr(breaker) == "<Breaker ready failures=0 rests=0 until=30>"
    assert breaker.reason is None
    assert [breaker.failed(50.0, "503") for _ in range(3)] == [False, False, True]
    assert breaker.ready_at(50.0) == 60.0


def test_breaker_release_permits_another_probe() -> None:
    breaker = probing(10.0)
    breaker.release(12.0)
    assert breaker.ready_at(12.0) == 12.0
    assert (breaker.failures, breaker.rest_count, breaker.reason) == (3, 1, "503")


def test_breaker_release_without_probe_changes_nothing() -> None:
    ready, resting = Breaker(LIMITS), tripped()
    ready.release(5.0)
    resting.release(5.0)
    assert (ready.ready_at(5.0), resting.ready_at(5.0)) == (5.0, 10.0)


def test_breaker_acquire_while_ready_is_no_probe() -> None:
    breaker = Breaker(LIMITS)
    breaker.acquire()
    assert breaker.ready_at(3.0) == 3.0


def test_breaker_late_failure_does_not_prolong_a_rest() -> None:
    breaker = tripped()
    assert breaker.failed(5.0, "late") is False
    assert breaker.ready_at(5.0) == 10.0


def test_breaker_saves_failures_and_no_rest_while_ready() -> None:
    breaker = Breaker(LIMITS)
    breaker.failed(7.0, "503")
    assert breaker.saved(7.0) == SavedBreaker(failures=1, rests=0, rest_left=None, reason="503")


def test_breaker_saves_remaining_rest_while_failing() -> None:
    assert tripped().saved(4.0) == SavedBreaker(failures=3, rests=1, rest_left=6.0, reason="503")
    assert tripped().saved(400.0).rest_left == 0.0


def test_breaker_restores_probing_as_failing() -> None:
    breaker = Breaker(LIMITS)
    breaker.restore(probing(11.0).saved(11.0), now=-50.0)
    assert breaker.phase is Phase.FAILING
    assert breaker.ready_at(-50.0) == -50.0


def test_breaker_restored_rest_is_never_longer_than_at_its_start() -> None:
    breaker = Breaker(BreakerLimits(failures=1, rest=10.0, most=300.0))
    breaker.restore(SavedBreaker(failures=3, rests=2, rest_left=86_400.0, reason="503"), now=5.0)
    assert breaker.ready_at(5.0) == 25.0, "the second rest is twice the first"
    breaker.restore(SavedBreaker(rests=0, rest_left=86_400.0), now=5.0)
    assert breaker.ready_at(5.0) == 15.0


def test_breaker_sends_single_deliveries_after_ambiguous_failure_until_a_response() -> None:
    def seen() -> bool:
        return breaker.is_probing

    breaker = Breaker(BreakerLimits(failures=5))
    breaker.failed(1.0, "cannot connect")
    assert not seen()
    breaker.failed(2.0, "503", doubt=True)
    breaker.failed(3.0, "cannot connect")
    assert seen()
    breaker.succeeded()
    assert not seen()


def test_breaker_probe_is_a_single_delivery() -> None:
    breaker = Breaker(BreakerLimits(failures=1))
    breaker.failed(1.0, "cannot connect")
    assert breaker.is_probing
