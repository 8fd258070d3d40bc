from __future__ import annotations

from tocsind.policy.outcomes import Refused
from tocsind.policy.refusals import MAX_REMEMBERED, STRIKES, Refusals

ACCESS, STRIKE = Refused("403: Missing Access"), Refused("403: Missing Permissions", strike=True)


def test_same_refusal_of_three_alerts_in_a_row_is_the_destinations() -> None:
    refusals = Refusals()
    assert [refusals.on_refused(ACCESS, [alert]) for alert in ("a", "b")] == [None, None]
    assert refusals.on_refused(ACCESS, ["c"]) == "403: Missing Access (so for 3 different alerts in a row)"


def test_three_alerts_in_one_request_count_as_three() -> None:
    assert Refusals().on_refused(ACCESS, ["a", "b", "c"])


def test_retried_alert_counts_once() -> None:
    refusals = Refusals()
    assert [refusals.on_refused(ACCESS, ["a"]) for _ in range(5)] == [None] * 5
    assert refusals.alerts == 1


def test_different_refusal_starts_a_new_row() -> None:
    refusals = Refusals()
    for reason in ("403", "403", "405", "403", "403"):
        assert refusals.on_refused(Refused(reason), [f"{reason} {refusals.alerts}"]) is None
    assert refusals.on_refused(Refused("403"), ["last"])


def test_delivery_ends_every_row() -> None:
    refusals = Refusals(strikes=2)
    refusals.on_refused(ACCESS, ["a", "b"])
    refusals.on_delivered()
    assert (refusals.alerts, refusals.reason, refusals.strikes) == (0, None, 0)
    assert refusals.on_refused(ACCESS, ["c", "d"]) is None


def test_named_refusal_does_not_count_against_destination() -> None:
    refusals, named = Refusals(), Refused("400: title", named=True)
    for alert in ("a", "b", "c", "d"):
        assert refusals.on_refused(named, [alert]) is None
    assert refusals.is_all
    assert (refusals.alerts, refusals.reason) == (4, "400: title")
    refusals = Refusals()
    assert refusals.on_refused(ACCESS, ["a", "b"]) is None
    assert refusals.on_refused(named, ["c"]) is None
    assert refusals.on_refused(ACCESS, ["d"])


def test_strikes_count_by_request_and_survive_restart() -> None:
    refusals = Refusals()
    for n in range(STRIKES - 1):
        assert refusals.on_refused(STRIKE, [f"{n} {m}" for m in range(10)]) is None
    assert Refusals(refusals.strikes).on_refused(STRIKE, ["last"]) == "403: Missing Permissions"
    assert refusals.on_refused(ACCESS, ["other"]) is None
    assert refusals.strikes == 0


def test_strikes_may_differ_in_reason() -> None:
    refusals = Refusals()
    found = [refusals.on_refused(Refused(f"404 {n}", strike=True), ["a"]) for n in range(STRIKES)]
    assert found == [None, None, "404 2"]


def test_refused_alerts_are_bounded() -> None:
    refusals = Refusals()
    for n in range(3):
        refusals.on_refused(Refused("400", named=True), [f"{n} {m}" for m in range(MAX_REMEMBERED // 2)])
    assert refusals.alerts == MAX_REMEMBERED
