"""What a host does because of its own trouble and that of others. The lanes are played by the test."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import pytest

from tocsind.clock import SystemClock
from tocsind.config.loading import parse
from tocsind.core.active_config import ActiveConfig
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import ShutOut, Trouble
from tocsind.shared.engine import Cause, EngineAway, Tended
from tocsind.shared.identity import Identity
from tocsind.shared.outs import Out, is_local, packed, read
from tocsind.shared.targets import Target, Targets
from tocsind.shared.trouble import Troubles

HERE, OTHER = "here", "other"
CONFIG = parse(
    """
    [destinations.d]
    kind = "discord"
    webhook = "https://discord.com/api/webhooks/1/token"
    [[routes]]
    to = ["d"]
    """,
    "test",
)
FAR = CONFIG.destinations["d"].fingerprint
LOCAL, COMMON = Out(100.0, "no route", is_local=True), Out(100.0, "a limit", is_local=False)


class Clock(SystemClock):
    """Stands still until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def steady(self) -> float:
        return self.at


class Lanes:
    """One lane, which has what trouble the test gives it."""

    def __init__(self) -> None:
        self.has: Trouble | None = None
        self.told: list[tuple[ShutOut | None, bool]] = []

    def trouble(self, name: str) -> Trouble | None:
        assert name == "d"
        return self.has

    def stand_by(self, name: str, shut_out: ShutOut | None, *, sends: bool) -> None:
        assert name == "d"
        self.told.append((shut_out, sends))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


@pytest.fixture
def troubles(clock: Clock, lanes: Lanes) -> Troubles:
    targets = Targets(ActiveConfig(CONFIG), clock, degrades=True)
    targets.away_since = None
    return Troubles(targets, lanes, clock, Identity(HERE))


@pytest.fixture
def target(troubles: Troubles) -> Target:
    (found,) = troubles.targets
    return found


def tended(target: Target, clock: Clock, holder: str = "", others: Mapping[str, Out | None] | None = None) -> None:
    """The engine answers: who holds the lease, and what keeps the others from sending."""
    others = {OTHER: None} if others is None else others
    notes = {name: packed({FAR: out}) for name, out in others.items() if out}
    answer = Tended(f"{holder}:1.1" if holder else "", 0, "e.0", [HERE, *others], troubles=notes)
    target.on_tended(answer, HERE, clock.at, clock.at)
    target.ready = holder == HERE


def test_notes_can_be_read_again_and_what_is_none_is_no_trouble() -> None:
    assert read(packed({FAR: LOCAL})) == {FAR: LOCAL}
    assert packed({}) == b""
    assert (
        read(b"")
        == read(b"\x93")
        == read(b"nonsense")
        == read(b"\x81\xa1\x80\x00")
        == read(packed({FAR: Out(inf, "", is_local=True)}))
        == {}
    )
    assert is_local({FAR: LOCAL, "b": COMMON})
    assert not is_local({FAR: COMMON})


def test_a_holder_leaves_after_a_while_if_another_host_gets_through(
    troubles: Troubles, target: Target, clock: Clock
) -> None:
    tended(target, clock, HERE)
    assert not troubles.should_leave(target, {FAR: LOCAL})
    clock.at += 5.0
    target.requests["d"] = "r"
    assert not troubles.should_leave(target, {FAR: LOCAL}), "a request is in flight"
    target.requests.clear()
    assert troubles.should_leave(target, {FAR: LOCAL})


def test_a_holder_leaves_at_once_when_its_destination_is_disabled(
    troubles: Troubles, target: Target, clock: Clock
) -> None:
    tended(target, clock, HERE)
    assert troubles.should_leave(target, {FAR: Out(0.0, "404", is_local=True, is_final=True)})


@pytest.mark.parametrize("others", [{}, {OTHER: LOCAL}])
def test_a_holder_stays_where_no_other_host_gets_through(
    troubles: Troubles, target: Target, clock: Clock, others: Mapping[str, Out | None]
) -> None:
    for _ in range(20):
        tended(target, clock, HERE, others)
        assert not troubles.should_leave(target, {FAR: LOCAL})
        assert troubles.may_hold(target, {FAR: LOCAL})
        clock.at += 1.0


def test_a_trouble_that_all_hosts_have_moves_no_lease(troubles: Troubles, target: Target, clock: Clock) -> None:
    tended(target, clock, HERE)
    clock.at += 100.0
    assert not troubles.should_leave(target, {FAR: COMMON})
    assert troubles.may_hold(target, {FAR: COMMON})


def test_a_host_that_left_asks_again_after_a_time_that_doubles(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    final = {FAR: Out(0.0, "404", is_local=True, is_final=True)}
    for seconds in (60.0, 120.0, 240.0, 480.0, 600.0, 600.0):
        tended(target, clock, HERE)
        assert troubles.should_leave(target, final)
        tended(target, clock, OTHER)
        assert not troubles.may_hold(target, troubles.own(target))
        clock.at += seconds - 1
        assert not troubles.may_hold(target, troubles.own(target))
        clock.at += 2
        assert troubles.own(target) == {}
    tended(target, clock, HERE)
    assert not troubles.should_leave(target, {})
    clock.at += 61.0
    assert not troubles.should_leave(target, {})
    assert troubles.should_leave(target, final)
    assert target.passed_until == clock.at + 60.0, "it held the lease in health meanwhile"


def test_a_host_tells_since_when_it_does_not_get_through(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    lanes.has = Trouble(clock.at - 7, "no route", is_local=True)
    assert troubles.own(target) == {FAR: Out(clock.at - 7, "no route", is_local=True)}


def test_own_deliveries_are_shut_out_while_the_holder_does_not_get_through(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    tended(target, clock, OTHER, {OTHER: LOCAL})
    troubles.stand_by(target)
    shut_out, sends = lanes.told[-1]
    assert shut_out is not None
    assert shut_out.since == 100.0
    assert OTHER in shut_out.reason
    assert not sends
    tended(target, clock, OTHER)
    troubles.stand_by(target)
    assert lanes.told[-1] == (None, False)
    tended(target, clock, HERE)
    troubles.stand_by(target)
    assert lanes.told[-1] == (None, True)


def test_a_disabled_holder_ends_all_patience_only_where_no_other_host_gets_through(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    gone = Out(100.0, "404", is_local=True, is_final=True)
    for others, since in (({OTHER: gone}, 100.0), ({OTHER: gone, HERE: gone}, -inf)):
        tended(target, clock, OTHER, others)
        troubles.stand_by(target)
        shut_out, _ = lanes.told[-1]
        assert shut_out is not None
        assert shut_out.since == since


def test_without_a_holder_patience_is_counted_from_its_end(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    tended(target, clock, OTHER)
    began = clock.at
    for _ in range(4):
        clock.at += 1.0
        tended(target, clock)
        troubles.stand_by(target)
    assert [bool(shut_out) for shut_out, _ in lanes.told] == [False, False, False, True]
    assert target.shut_out["d"] == ShutOut(began, "no host sends to it")


def test_while_the_engine_is_away_what_is_not_sent_is_shut_out_and_counted_again_from_its_return(
    troubles: Troubles, target: Target, clock: Clock, lanes: Lanes
) -> None:
    tended(target, clock, OTHER)
    troubles.targets.away_since = began = clock.at
    troubles.targets.away = EngineAway("used memory > 'maxmemory'", Cause.FULL)
    clock.at += 1.0
    troubles.stand_by(target)
    clock.at += 5.0
    troubles.stand_by(target)
    troubles.targets.degrades = False
    troubles.stand_by(target)
    away = "the engine that hosts share is full"
    held = ShutOut(began, away)
    assert lanes.told == [(None, False), (ShutOut(began, away, (Priority.NORMAL, Priority.LOW)), True), (held, False)]
    troubles.targets.away_since = None
    tended(target, clock)
    troubles.stand_by(target)
    assert lanes.told[-1][0] == held, "until a host sends again"
