from __future__ import annotations

from tocsind.policy.alarm_throttle import MIN_INTERVAL, AlarmHistory, readable_first

ABOUT = ("breaker", "a")


def test_alarm_is_due_after_condition_has_lasted() -> None:
    history = AlarmHistory()
    assert not history.is_news(ABOUT, 1000.0, lasted=119.9, patience=120.0)
    assert history.is_news(ABOUT, 1000.1, lasted=120.0, patience=120.0)


def test_is_news_changes_nothing() -> None:
    history = AlarmHistory()
    assert history.is_news(ABOUT, 0.0)
    assert history.is_news(ABOUT, 0.0)


def test_lasting_condition_raises_one_alarm() -> None:
    history = AlarmHistory()
    history.on_raised(ABOUT, 0.0, lasts=True)
    assert not history.is_news(ABOUT, 100 * MIN_INTERVAL, lasted=1e9)
    history.on_over(ABOUT)
    assert history.is_news(ABOUT, 100 * MIN_INTERVAL)


def test_intermittent_condition_raises_one_alarm_in_ten_minutes() -> None:
    history = AlarmHistory()
    history.on_raised(ABOUT, 0.0, lasts=True)
    history.on_over(ABOUT)
    assert not history.is_news(ABOUT, MIN_INTERVAL - 0.1)
    assert history.is_news(ABOUT, MIN_INTERVAL)


def test_momentary_condition_raises_another_alarm_after_ten_minutes() -> None:
    history = AlarmHistory()
    history.on_raised(ABOUT, 0.0)
    assert not history.is_news(ABOUT, 599.0)
    assert history.is_news(ABOUT, 600.0)


def test_conditions_are_independent() -> None:
    history = AlarmHistory()
    history.on_raised(ABOUT, 0.0, lasts=True)
    assert history.is_news(("breaker", "b"), 0.0)
    assert history.is_news(("age", "a"), 0.0)


def test_condition_without_patience_never_raises_an_alarm() -> None:
    assert not AlarmHistory().is_news(ABOUT, 0.0, lasted=1e9, patience=None)
    AlarmHistory().on_over("what never was")


def test_alarm_route_prefers_another_service_then_another_channel_and_unwatched_kinds_last() -> None:
    kinds = {"file": "file", "channel": "discord", "mail": "email", "push": "ntfy"}
    assert readable_first(["file", "channel", "mail", "push"], kinds, "discord") == ("mail", "push", "channel", "file")
    assert readable_first(["file", "channel", "mail", "push"], kinds, None) == ("channel", "mail", "push", "file")
    assert readable_first(["file"], kinds, "file") == ("file",)
