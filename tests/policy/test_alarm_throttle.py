from __future__ import annotations

from tocsind.policy.alarm_throttle import MIN_INTERVAL, AlarmHistory, readable_first

ABOUT = ("breaker", "a")


def test_a_trouble_is_told_once_it_has_lasted() -> None:
    told = AlarmHistory()
    assert not told.is_news(ABOUT, 1000.0, lasted=119.9, patience=120.0)
    assert told.is_news(ABOUT, 1000.1, lasted=120.0, patience=120.0)


def test_asking_tells_nothing() -> None:
    told = AlarmHistory()
    assert told.is_news(ABOUT, 0.0)
    assert told.is_news(ABOUT, 0.0)


def test_while_it_lasts_it_is_told_once_however_long_that_is() -> None:
    told = AlarmHistory()
    told.on_raised(ABOUT, 0.0, lasts=True)
    assert not told.is_news(ABOUT, 100 * MIN_INTERVAL, lasted=1e9)
    told.on_over(ABOUT)
    assert told.is_news(ABOUT, 100 * MIN_INTERVAL)


def test_what_comes_and_goes_is_told_once_in_ten_minutes() -> None:
    told = AlarmHistory()
    told.on_raised(ABOUT, 0.0, lasts=True)
    told.on_over(ABOUT)
    assert not told.is_news(ABOUT, MIN_INTERVAL - 0.1)
    assert told.is_news(ABOUT, MIN_INTERVAL)


def test_what_only_happens_is_told_again_after_ten_minutes_without_an_end() -> None:
    told = AlarmHistory()
    told.on_raised(ABOUT, 0.0)
    assert not told.is_news(ABOUT, 599.0)
    assert told.is_news(ABOUT, 600.0)


def test_troubles_know_nothing_of_each_other() -> None:
    told = AlarmHistory()
    told.on_raised(ABOUT, 0.0, lasts=True)
    assert told.is_news(("breaker", "b"), 0.0)
    assert told.is_news(("age", "a"), 0.0)


def test_without_patience_for_it_at_all_it_is_never_told() -> None:
    assert not AlarmHistory().is_news(ABOUT, 0.0, lasted=1e9, patience=None)
    AlarmHistory().on_over("what never was")


def test_another_service_comes_first_then_another_channel_and_what_no_person_reads_last() -> None:
    kinds = {"file": "file", "channel": "discord", "mail": "email", "push": "ntfy"}
    assert readable_first(["file", "channel", "mail", "push"], kinds, "discord") == ("mail", "push", "channel", "file")
    assert readable_first(["file", "channel", "mail", "push"], kinds, None) == ("channel", "mail", "push", "file")
    assert readable_first(["file"], kinds, "file") == ("file",)
