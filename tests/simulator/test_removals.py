"""Each part of the limiter has a reason: each test removes one part, and the simulator must show the harm."""

from __future__ import annotations

from collections import deque

import pytest
from tests.bench.table import percentile
from tests.simulator import tocsin
from tests.simulator.journal import REMEMBERED, Journal
from tests.simulator.many import ONE
from tests.simulator.record import waits
from tests.simulator.scenario import Foreign, Scenario, run
from tests.simulator.server import Model

from tocsind.policy.bucket import Bucket
from tocsind.policy.delivery import Priority
from tocsind.policy.rate_limits import ChannelLimit, RateLimit, WebhookLimit
from tocsind.policy.reserve import Reserve

SILENT = Model.parse("sliding:5/2,sliding:30/60,silent")
SLOW = Model.parse("leaky:5/5,sliding:30/60")  # accepts one a second in the long run, and shows that in headers

SLOW_AND_SILENT = Model.parse("sliding:5/5,sliding:30/60,silent")  # a slow server without headers


def refused(scenario: Scenario) -> dict[str, int]:
    return dict(run(scenario).refused)


def test_removal_of_webhook_log_causes_429s_of_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebhookLimit, "window_opens", lambda *_, **__: 0.0)
    assert refused(Scenario(SILENT, "burst of 500", 0))["user"] > 10


def test_removal_of_headers_causes_429s_of_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebhookLimit, "on_response", lambda *_: None)
    assert refused(Scenario(SLOW, "burst of 500", 0))["user"] > 10


def test_removal_of_channel_log_causes_shared_429s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChannelLimit, "window_opens", lambda _, now, **__: now)
    assert refused(Scenario(ONE, "burst of 500", 0))["shared"] > 0


def test_removal_of_blocks_multiplies_429s(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(SLOW_AND_SILENT, "burst of 500", 0)
    with_blocks = refused(scenario)["user"]
    monkeypatch.setattr(RateLimit, "block_ends", lambda _, now: now)
    assert refused(scenario)["user"] > 1.5 * with_blocks


def test_removal_of_learning_multiplies_429s_with_foreign_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: ChannelLimit, now: float, wait: float, reason: str) -> None:
        self.block(now + wait, reason)

    monkeypatch.setattr(ChannelLimit, "on_limited", forget)
    record = run(Scenario(ONE, "4/s", 0, foreign=Foreign(10)))
    assert record.refused["shared"] > 0.03 * record.requests


def test_removal_of_reserve_delays_urgent_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "reserved", lambda *_: 0)
    records = [run(Scenario(ONE, "backlog, 4 urgent", seed)) for seed in range(3)]
    assert percentile(waits(records, Priority.URGENT), 99) > 20


def test_removal_of_adaptive_reserve_delays_ten_urgent_signals_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reserve, "note_demand", lambda *_: None)
    records = [run(Scenario(ONE, "backlog, 10 urgent", seed)) for seed in range(3)]
    assert percentile(waits(records, Priority.URGENT, after=120), 99) > 20


def test_removal_of_pace_uses_up_tokens_within_the_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "paced_at", lambda _, now: now)
    assert percentile(waits([run(Scenario(ONE, "1/s", 0))], Priority.NORMAL), 99) > 10


def test_window_counted_from_sending_causes_429s(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Bucket, now: float, *, expedited: bool = True) -> None:
        self.restore_request(now, expedited=expedited)

    monkeypatch.setattr(Bucket, "acquire", take)
    monkeypatch.setattr(Bucket, "release", lambda *_, **__: None)
    assert refused(Scenario(SILENT, "burst of 500", 0))["user"] > 0


def test_removal_of_saved_state_causes_429s_after_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tocsin.Tocsin, "_save_state", lambda _: None)
    counts = [refused(Scenario(ONE, "burst of 500", seed, kills=4)).get("shared", 0) for seed in range(6)]
    assert sum(counts) > 0


def test_removal_of_requests_in_flight_causes_429s_after_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget_what_was_in_flight(self: Journal, _: float) -> None:
        self.requests = deque((request for request in self.requests if request.answered is not None), REMEMBERED)

    monkeypatch.setattr(Journal, "reopen", forget_what_was_in_flight)
    counts = [refused(Scenario(SILENT, "burst of 500", seed, kills=30)) for seed in range(20)]
    assert any(counts)


def test_removal_of_restart_delay_causes_429s_of_slow_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WebhookLimit, "restore_request", RateLimit.restore_request)
    assert any(refused(Scenario(SLOW, "burst of 500", seed, kills=6)) for seed in range(20))
