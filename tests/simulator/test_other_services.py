"""The limits that other services publish, in virtual time: whichever way a server counts, no request is one too many."""

from __future__ import annotations

from random import Random

import pytest

from tocsind.config.kinds.slack import SlackOptions
from tocsind.config.kinds.telegram import TelegramOptions
from tocsind.policy.delivery import Priority
from tocsind.policy.limiter import Limiter
from tocsind.policy.outcomes import Delivered, Report
from tocsind.policy.pace import Pace
from tocsind.policy.rate_limits import ChannelLimit, HostLimit, WebhookLimit, windows
from tocsind.testing.limits import AlignedWindow, FixedWindow, LeakyBucket, SlidingLog
from tocsind.testing.limits import Limiter as ServerLimit

PACES = {
    "telegram group": TelegramOptions(chat_id="-1001").pace,
    "telegram private": TelegramOptions(chat_id="1001").pace,
    "slack bot": SlackOptions(channel="C0123ABCD").pace,
}
MODELS = (FixedWindow, SlidingLog, LeakyBucket, AlignedWindow)
BURST = 100


def burst(pace: Pace, model: type[ServerLimit], seed: int) -> tuple[int, float]:
    """A burst of messages, one after the other: how many were one too many, and when the last one arrived."""
    chance = Random(seed)
    server = [model(rate.count, rate.per) for rate in windows(pace.channel)]
    limiter = Limiter(None, WebhookLimit(pace.endpoint), ChannelLimit(pace.channel), HostLimit(pace.address))
    now, ahead, refused = 1000.0, chance.uniform(0, 3600), 0
    for number in range(BURST):
        priority = chance.choice(list(Priority))
        while (opens := limiter.ready_at(now, priority)) > now:
            now = opens
        limiter.acquire(now, priority)
        out, back = chance.uniform(0.01, 0.4), chance.uniform(0.01, 0.4)
        refused += sum(not limit.take(now + out + ahead).passes for limit in server)
        now += out + back
        limiter.on_response(now, priority, Report((Delivered(str(number)),)))
    return refused, now - 1000.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PACES)
def test_burst_is_refused_by_no_model_of_the_published_limits(name: str, model: type[ServerLimit], seed: int) -> None:
    pace = PACES[name]
    refused, took = burst(pace, model, seed)
    floor = max((BURST - rate.count) * rate.per / rate.count for rate in windows(pace.channel))
    assert refused == 0
    assert took <= 1.25 * floor + 60
