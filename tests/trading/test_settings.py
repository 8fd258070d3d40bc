"""The aggregator's configuration: the seeds' keys, ours, and mistakes in both."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tocsin.trading import SignalAggregator
from tocsin.trading.settings import Settings, settings, weights

SECRET = "https://discord.com/api/webhooks/123/very-secret"


def test_settings_accept_the_keys_of_existing_code() -> None:
    found = settings({"discord_alerts": True, "discord_webhook_url": SECRET, "discord_config": object()})
    assert (found.alerts, found.webhook, found.problems) == (True, SECRET, ())


def test_settings_default_to_no_alerts() -> None:
    assert settings(None) == settings({}) == Settings()
    assert not Settings().alerts


def test_settings_read_values_with_units() -> None:
    found = settings(
        {
            "min_confidence": 0.7,
            "window": "2h",
            "conflict": "strongest",
            "once": True,
            "tier": "premium",
            "expires": "90s",
        }
    )
    assert (found.min_confidence, found.window, found.conflict, found.once) == (0.7, 7200, "strongest", True)
    assert found.in_every_alert == {"tier": "premium", "expires": 90}
    assert settings({"window": 30}).window == 30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_confidence", 93),
        ("min_confidence", "0.9"),
        ("window", "soon"),
        ("window", -1),
        ("conflict", "fight"),
        ("conflict", []),
        ("discord_webhook_url", 5),
        ("priority", "very"),
        ("expires", "soon"),
        ("confidence", 0.9),
        (5, 5),
    ],
)
def test_settings_report_an_error_by_key_and_use_the_default(key: Any, value: Any) -> None:
    found = settings({key: value})
    assert found == Settings(problems=found.problems)
    [problem] = found.problems
    assert str(key) in problem


def test_settings_never_show_the_webhook(caplog: pytest.LogCaptureFixture) -> None:
    aggregator = SignalAggregator(
        {}, {"discord_webhook_url": SECRET, "discord_config": {"url": SECRET}, "discord_webhook": SECRET}
    )
    everything = f"{settings({'discord_webhook_url': SECRET})!r} {aggregator!r} {aggregator.problems} {caplog.text}"
    assert "secret" not in everything
    assert "'discord_webhook' is not a known key" in caplog.text


def test_weights_are_numbers_with_default_one() -> None:
    assert weights({"ma": 0.6, 5: 1, "odd": "x", "worse": -1, "nan": float("nan")})[0] == {"ma": 0.6, "5": 1.0}
    assert len(weights({"odd": "x", "worse": -1})[1]) == 2
    assert weights(None) == ({}, ())
    assert weights([1])[0] == {}


def test_settings_problems_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tocsin.trading")
    aggregator = SignalAggregator({"ma": "heavy"}, {"wat": 1})  # type: ignore[dict-item]
    for _ in range(3):
        aggregator.aggregate_signals({"ma": [5]})
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "'wat' is not a known key and is ignored",
        "the weight of ma must be a number, zero or more",
        "ma[0]: symbol: is required",
    ]
