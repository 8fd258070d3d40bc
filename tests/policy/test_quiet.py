"""Which signals quiet hours hold, and until when."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.test_calendar import BERLIN, LORD_HOWE, NEW_YORK, NIGHT, YEAR, at

from tocsin.signals import Signal
from tocsind.policy.calendar import DAY, Hours
from tocsind.policy.delivery import Priority
from tocsind.policy.quiet import ENDLESS, LONGEST, QuietHours, QuietRule, quiet_until

URGENT, HIGH, NORMAL, LOW = Priority
AT_NIGHT = QuietRule(Hours(*NIGHT, zone=BERLIN, zone_name="Europe/Berlin"))
MIDNIGHT = at(BERLIN, 2026, 7, 1, 0, 0)
NOON = at(BERLIN, 2026, 7, 1, 12, 0)
MORNING = at(BERLIN, 2026, 7, 1, 7, 0)


@pytest.mark.parametrize(
    ("when", "priority", "fields", "held"),
    [
        ({}, NORMAL, {}, True),
        ({}, HIGH, {}, True),
        ({}, URGENT, {}, False),
        ({"symbol": ("BTC",)}, URGENT, {"symbol": "BTC"}, False),
        ({"priority": ("urgent", "low")}, URGENT, {}, True),
        ({"priority": ("low", "normal")}, HIGH, {}, False),
        ({"priority": ("low", "normal")}, LOW, {}, True),
        ({"tag": ("btc",), "tier": ("free",)}, LOW, {"tier": "free", "tags": ["btc"]}, True),
        ({"tag": ("btc",), "tier": ("free",)}, LOW, {"tier": "free"}, False),
    ],
)
def test_quiet_holds_what_when_matches_and_urgent_only_if_named(
    when: dict[str, tuple[str, ...]], priority: Priority, fields: dict[str, Any], held: bool
) -> None:
    quiet = QuietHours([QuietRule(AT_NIGHT.hours, when)])
    assert (quiet.hold(Signal("t", **fields), priority, MIDNIGHT) is not None) is held
    assert quiet.hold(Signal("t", **fields), priority, NOON) is None


def test_quiet_says_until_when_and_in_which_zone() -> None:
    hold = QuietHours([AT_NIGHT]).hold(Signal("t"), NORMAL, MIDNIGHT)
    assert hold is not None
    assert (hold.until, hold.reason) == (MORNING, "held until 07:00 by quiet hours (Europe/Berlin)")
    hold = QuietHours([QuietRule(Hours(*NIGHT, zone=BERLIN))]).hold(Signal("t"), NORMAL, MIDNIGHT)
    assert hold is not None
    assert hold.reason == "held until 07:00 by quiet hours"


def test_quiet_without_rules_holds_nothing_and_never_changes() -> None:
    assert QuietHours().hold(Signal("t"), LOW, MIDNIGHT) is None
    assert QuietHours().next_change(MIDNIGHT) == inf


def test_quiet_hours_that_follow_each_other_are_one() -> None:
    weekend = Hours(6 * 60, 20 * 60, frozenset({2}), BERLIN)  # 2026-07-01 is a Wednesday
    found = quiet_until([AT_NIGHT.hours, weekend], MIDNIGHT)
    assert found is not None
    assert found.until == at(BERLIN, 2026, 7, 1, 20, 0)


def test_quiet_hours_that_never_end_are_asked_again_after_days() -> None:
    found = quiet_until([Hours(0, DAY, zone=BERLIN)], NOON)
    assert found is not None
    assert LONGEST <= found.until - NOON <= LONGEST + 86400
    assert found.reason == ENDLESS


def test_quiet_of_one_rule_does_not_hold_a_signal_of_another() -> None:
    low, tier = QuietRule(AT_NIGHT.hours, {"priority": ("low",)}), QuietRule(Hours(720, 780), {"tier": ("x",)})
    quiet = QuietHours([low, tier])
    assert quiet.hold(Signal("t"), LOW, MIDNIGHT)
    assert quiet.hold(Signal("t", tier="x"), NORMAL, MIDNIGHT) is None


rules = st.lists(
    st.builds(
        QuietRule,
        st.builds(
            Hours,
            st.integers(0, DAY - 1),
            st.integers(1, DAY),
            st.frozensets(st.integers(0, 6), min_size=1),
            st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE]),
        ),
        st.sampled_from([{}, {"priority": ("low",)}, {"tier": ("x",)}]),
    ),
    min_size=1,
    max_size=4,
)


@given(rules, st.integers(YEAR.start, YEAR.stop), st.sampled_from([Signal("t"), Signal("t", tier="x")]))
def test_quiet_lasts_without_a_gap_until_it_says_and_no_longer(
    found: list[QuietRule], now: int, signal: Signal
) -> None:
    quiet = QuietHours(found)
    hold = quiet.hold(signal, NORMAL, now)
    is_covered = any(rule.holds(signal, NORMAL) and rule.hours.covering(now) for rule in found)
    assert (hold is not None) == is_covered
    if hold is None:
        return
    moment = float(now)
    while moment < hold.until:
        assert quiet.hold(signal, NORMAL, moment) is not None
        moment = quiet.next_change(moment)
    after = quiet.hold(signal, NORMAL, hold.until)
    assert after is None or hold.until - now >= LONGEST


@given(rules, st.lists(st.integers(YEAR.start, YEAR.stop), min_size=1, max_size=8))
def test_quiet_answers_the_same_with_and_without_its_cache(found: list[QuietRule], moments: list[int]) -> None:
    cached = QuietHours(found)
    for now in moments:
        assert cached.is_on(now) == QuietHours(found).is_on(now)
        held, fresh = (quiet.hold(Signal("t"), LOW, now) for quiet in (cached, QuietHours(found)))
        assert (held and held.until) == (fresh and fresh.until)
