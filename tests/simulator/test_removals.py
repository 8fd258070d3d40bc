"""Each gate is there for a reason: without it, the simulator has something to show. What stands here is what would be lost."""

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
SLOW = Model.parse("leaky:5/5,sliding:30/60")  # takes one a second in the long run, and says so

NOBODY_TELLS = Model.parse("sliding:5/5,sliding:30/60,silent")  # nor does anybody know


def refused(scenario: Scenario) -> dict[str, int]:
    return dict(run(scenario).refused)


def test_without_the_webhooks_log_a_server_that_does_not_tell_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebhookLimit, "window_opens", lambda *_, **__: 0.0)
    assert refused(Scenario(SILENT, "burst of 500", 0))["user"] > 10


def test_without_the_headers_a_server_that_is_slower_than_ours_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WebhookLimit, "on_response", lambda *_: None)
    assert refused(Scenario(SLOW, "burst of 500", 0))["user"] > 10


def test_without_the_channels_log_the_hidden_limit_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChannelLimit, "window_opens", lambda _, now, **__: now)
    assert refused(Scenario(ONE, "burst of 500", 0))["shared"] > 0


def test_without_blocks_a_refusal_is_followed_by_many(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(NOBODY_TELLS, "burst of 500", 0)
    with_blocks = refused(scenario)["user"]
    monkeypatch.setattr(RateLimit, "block_ends", lambda _, now: now)
    assert refused(scenario)["user"] > 1.5 * with_blocks


def test_without_learning_others_make_us_run_into_their_limit_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: ChannelLimit, now: float, wait: float, reason: str) -> None:
        self.block(now + wait, reason)

    monkeypatch.setattr(ChannelLimit, "on_limited", forget)
    book = run(Scenario(ONE, "4/s", 0, foreign=Foreign(10)))
    assert book.refused["shared"] > 0.03 * book.requests


def test_without_a_reserve_urgent_waits_for_low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "reserved", lambda *_: 0)
    books = [run(Scenario(ONE, "backlog, 4 urgent", seed)) for seed in range(3)]
    assert percentile(waits(books, Priority.URGENT), 99) > 20


def test_a_reserve_that_does_not_adapt_is_too_small_for_ten_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reserve, "note_demand", lambda *_: None)
    books = [run(Scenario(ONE, "backlog, 10 urgent", seed)) for seed in range(3)]
    assert percentile(waits(books, Priority.URGENT, after=120), 99) > 20


def test_without_a_pace_tokens_run_out_in_mid_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "paced_at", lambda _, now: now)
    assert percentile(waits([run(Scenario(ONE, "1/s", 0))], Priority.NORMAL), 99) > 10


def test_counted_from_the_sending_two_windows_of_ours_are_one_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Bucket, now: float, *, expedited: bool = True) -> None:
        self.restore_request(now, expedited=expedited)

    monkeypatch.setattr(Bucket, "acquire", take)
    monkeypatch.setattr(Bucket, "release", lambda *_, **__: None)
    assert refused(Scenario(SILENT, "burst of 500", 0))["user"] > 0


def test_without_a_memory_the_first_minute_after_a_restart_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tocsin.Tocsin, "_remember", lambda _: None)
    counts = [refused(Scenario(ONE, "burst of 500", seed, kills=4)).get("shared", 0) for seed in range(6)]
    assert sum(counts) > 0


def test_what_was_in_flight_at_a_power_cut_counts_as_if_it_were_answered_at_the_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget_what_was_in_flight(self: Journal, _: float) -> None:
        self.requests = deque((request for request in self.requests if request.answered is not None), REMEMBERED)

    monkeypatch.setattr(Journal, "reopen", forget_what_was_in_flight)
    counts = [refused(Scenario(SILENT, "burst of 500", seed, kills=30)) for seed in range(20)]
    assert any(counts)


def test_without_the_patience_after_a_restart_a_server_that_is_slower_than_ours_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(WebhookLimit, "restore_request", RateLimit.restore_request)
    assert any(refused(Scenario(SLOW, "burst of 500", seed, kills=6)) for seed in range(20))
