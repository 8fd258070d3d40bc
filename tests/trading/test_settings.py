"""The aggregator's configuration: the seeds' keys, ours, and mistakes in both."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tocsin.trading import SignalAggregator
from tocsin.trading.settings import Settings, settings, weights

SECRET = "https://discord.com/api/webhooks/123/very-secret"


def test_settings_accept_the_keys_of_existing_code() -> None:
    found = settings({"discord_alerts": True, "discord_webhook_url": SECRET, "discord_config": {}})
    assert (found.alerts, found.webhook, found.problems) == (True, SECRET, ())


class OldConfig:
    """Settings of old code, as attributes."""

    def __init__(self) -> None:
        self.max_retries = 3


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ({"rate_limit": 30, "per_minute": {"free": 20}}, 'rate_limit = 30, per_minute.free = 20 are ignored: write limit = "30/min"'),
        ({"max_retries": 3}, 'max_retries = 3 is ignored: write retry = { first = "1s", most = "60s", give-up = "6h" }'),
        (OldConfig(), "max_retries = 3 is ignored: write retry ="),
        ({"retry_delay": SECRET}, "retry_delay is ignored: write retry ="),
        ({"webhook_url": SECRET}, 'webhook_url is ignored: write webhook = { env = "NAME" } under [destinations.NAME]'),
        ({"circuit_breaker_threshold": 5}, "write breaker = { failures = 5,"),
        ({"timeout": 5.0}, 'timeout = 5.0 is ignored: write deadline = "10s"'),
        ({"max_workers": 2}, "each destination has four senders"),
        ({"colour": "red"}, "colour is ignored: alerts.toml has the settings now"),
        (object(), "discord_config is ignored: alerts.toml has the settings now"),
        (5, "discord_config is ignored: alerts.toml has the settings now"),
    ],
)  # fmt: skip
def test_discord_config_is_a_problem_that_names_the_key_in_the_configuration(old: Any, said: str) -> None:
    [problem] = settings({"discord_config": old}).problems
    assert problem.startswith("discord_config")
    assert said in problem
    assert "secret" not in problem


@pytest.mark.parametrize("said", ["90%", 90, "0.9", "90 percent", 0.9])
def test_min_confidence_is_read_as_a_signals_confidence(said: Any) -> None:
    assert settings({"min_confidence": said}).min_confidence == 0.9


@pytest.mark.parametrize(("said", "alerts"), [("false", False), ("No", False), ("", False), (0, False), ("yes", True)])
def test_discord_alerts_may_be_a_word(said: Any, alerts: bool) -> None:
    assert settings({"discord_alerts": said}).alerts is alerts


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
        ("min_confidence", 930),
        ("min_confidence", "high"),
        ("min_confidence", -1),
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
    given = {"ma": 0.6, 5: 1, "text": "0.4", "odd": "x", "worse": -1, "nan": float("nan")}
    assert weights(given)[0] == {"ma": 0.6, "5": 1.0, "text": 0.4}
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
