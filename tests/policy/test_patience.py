from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tocsind.policy.delivery import Priority
from tocsind.policy.patience import (
    NEVER,
    PROBE_INTERVAL,
    SHORT_BLOCK,
    SUSPECT_TIME,
    Fitness,
    Outage,
    Patience,
    ShutOut,
    ranked,
)

URGENT, HIGH, NORMAL, LOW = Priority


def test_patience_defaults_are_those_of_the_contract() -> None:
    assert [Patience().of(priority) for priority in Priority] == [30.0, 120.0, 600.0, inf]
    assert {NEVER.of(priority) for priority in Priority} == {inf}


def test_ranked_puts_working_fallbacks_first_in_configured_order() -> None:
    fitness = {"a": Fitness.DISABLED, "b": Fitness.FAILS, "c": Fitness.WORKING, "d": Fitness.WORKING}
    assert ranked("abcd", fitness.__getitem__) == ("c", "d", "b", "a")


def test_outage_counts_from_the_first_failure_in_a_row() -> None:
    outage = Outage()
    for now in (10.0, 12.0, 30.0):
        outage.on_failure(now, "refused")
    assert (outage.over_at(30.0), outage.duration(30.0)) == (40.0, 20.0)
    outage.on_answer()
    assert (outage.over_at(30.0), outage.duration(50.0), outage.is_on) == (inf, 0.0, False)
    outage.on_failure(50.0, "refused")
    assert outage.over_at(30.0) == 80.0


def test_outage_counts_from_the_start_of_a_block_by_the_server() -> None:
    outage = Outage()
    outage.on_block(10.0, "429 from Cloudflare")
    assert outage.over_at(30.0) == 40.0
    assert not outage.works(SHORT_BLOCK)
    assert outage.works(SHORT_BLOCK - 1), "a used-up window is no outage of the destination"


def test_outage_after_an_answered_query_continues_with_its_old_beginning() -> None:
    outage = Outage()
    outage.on_failure(0.0, "503")
    outage.on_recovery(100.0)
    assert (outage.over_at(30.0), outage.works(0.0), outage.duration(100.0)) == (inf, True, 0.0)
    outage.on_failure(110.0, "503")
    assert outage.over_at(30.0) == 30.0


def test_outage_long_after_an_answered_query_is_a_new_one() -> None:
    outage = Outage()
    outage.on_failure(0.0, "503")
    outage.on_recovery(100.0)
    outage.on_failure(101.0 + SUSPECT_TIME, "503")
    assert outage.over_at(30.0) == 131.0 + SUSPECT_TIME


def test_probe_is_due_when_breaker_permits_and_not_soon_after_a_failure() -> None:
    outage = Outage()
    assert outage.probe_at(5.0) == inf
    outage.on_failure(10.0, "503")
    assert outage.probe_at(12.0) == 10.0 + PROBE_INTERVAL
    assert outage.probe_at(60.0) == 60.0
    outage.on_retry_scheduled(60.0)
    assert outage.probe_at(60.0) == 60.0 + PROBE_INTERVAL


def test_probe_after_a_block_is_due_when_the_block_ends() -> None:
    outage = Outage()
    outage.on_block(10.0, "429")
    assert outage.probe_at(15.0) == 15.0


def test_recovery_without_outage_changes_nothing() -> None:
    outage = Outage()
    outage.on_recovery(1.0)
    assert repr(outage) == "<Outage well since=None fails=False reason=None>"


def test_outage_continues_after_restart() -> None:
    outage = Outage()
    outage.restore(-50.0, "refused")
    assert (outage.over_at(30.0), outage.duration(10.0), outage.reason) == (-20.0, 60.0, "refused")
    assert repr(outage) == "<Outage out since=-50.0 fails=True reason='refused'>"
    outage.on_recovery(1.0)
    assert repr(outage) == "<Outage back since=-50.0 fails=False reason='refused'>"


def test_block_continues_after_restart_as_block() -> None:
    outage = Outage()
    outage.restore(-50.0, "429", fails=False)
    assert (outage.over_at(30.0), outage.fails, outage.probe_at(allowed=7.0)) == (-20.0, False, 7.0)


class OutageLaw(RuleBasedStateMachine):
    """The outage as a model of plain numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.outage = Outage()
        self.now = 0.0
        self.since: float | None = None
        self.back_at: float | None = None

    @rule(seconds=st.floats(0, 1000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(block=st.booleans())
    def nothing_gets_through(self, block: bool) -> None:
        if self.since is None or (self.back_at is not None and self.now - self.back_at > SUSPECT_TIME):
            self.since = self.now
        self.back_at = None
        (self.outage.on_block if block else self.outage.on_failure)(self.now, "because")

    @rule()
    def a_question_is_answered(self) -> None:
        self.outage.on_recovery(self.now)
        if self.since is not None and self.back_at is None:
            self.back_at = self.now

    @rule()
    def a_delivery_is_answered(self) -> None:
        self.outage.on_answer()
        self.since = self.back_at = None

    @invariant()
    def it_answers_by_the_law(self) -> None:
        is_on = self.since is not None and self.back_at is None
        assert self.outage.is_on is is_on
        assert self.outage.over_at(30.0) == (self.since + 30.0 if self.since is not None and is_on else inf)
        assert (self.outage.probe_at(self.now) < inf) is is_on
        assert self.outage.works(0.0) or is_on
        assert not self.outage.works(SHORT_BLOCK)

    @invariant()
    def a_longer_patience_is_never_over_sooner(self) -> None:
        ends = [self.outage.over_at(Patience().of(priority)) for priority in Priority]
        assert ends == sorted(ends)


TestOutageLaw = OutageLaw.TestCase
TestOutageLaw.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.sampled_from(Fitness), max_size=6))
def test_ranked_is_a_permutation(fitness: list[Fitness]) -> None:
    names = [str(number) for number in range(len(fitness))]
    found = ranked(names, lambda name: fitness[int(name)])
    assert sorted(found) == names
    assert [fitness[int(name)] for name in found] == sorted(fitness)


@pytest.mark.parametrize("priority", Priority)
def test_patience_of_one_priority_can_be_switched_off(priority: Priority) -> None:
    assert Patience(**{priority.label: None}).of(priority) == inf


def test_outage_begins_when_the_first_request_that_fails_leaves() -> None:
    outage = Outage()
    outage.on_failure(10.0, "no answer within 10 s", began=0.0)
    outage.on_failure(20.0, "no answer within 10 s", began=10.0)
    assert (outage.over_at(30.0), outage.duration(20.0)) == (30.0, 20.0)


def test_query_that_failed_directly_before_a_request_is_the_first_failure() -> None:
    outage = Outage()
    outage.on_query(10.0, 0.0, failed=True)
    assert not outage.is_on
    outage.on_failure(21.0, "no answer within 10 s", began=11.0)
    assert outage.over_at(30.0) == 30.0


def test_query_of_long_ago_or_that_was_answered_is_no_first_failure() -> None:
    outage = Outage()
    outage.on_query(10.0, 0.0, failed=True)
    outage.on_failure(40.0, "503", began=39.0)
    assert outage.over_at(30.0) == 69.0
    outage = Outage()
    outage.on_query(10.0, 0.0, failed=False)
    outage.on_failure(12.0, "503", began=11.0)
    assert outage.over_at(30.0) == 41.0


def test_delivery_shut_out_at_other_hosts_moves_when_its_patience_is_over_and_no_other_does() -> None:
    shut_out = ShutOut(100.0, "no host sends to it", (Priority.NORMAL,))
    assert shut_out.over_at(Priority.NORMAL, 30.0) == 130.0
    assert shut_out.over_at(Priority.URGENT, 30.0) == inf


def test_a_shut_out_without_end_ends_every_patience_even_an_endless_one() -> None:
    shut_out = ShutOut(-inf, "other sends for this host, and does not get through: 404")
    assert [shut_out.over_at(each, Patience().of(each)) for each in Priority] == [-inf] * 4
