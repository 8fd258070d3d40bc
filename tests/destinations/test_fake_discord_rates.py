"""The limits of the fake Discord as a client meets them: in headers, in four kinds of 429, and in one that is hidden."""

from __future__ import annotations

import math

import httpx
import pytest
import trio

from tocsind.testing import Limit, Model, RateLimited, Scope, Settings, serve_fake

SLOW_WEBHOOK = Limit(Model.FIXED, 5, 600.0)  # does not reopen while a test runs
SLOW_CHANNEL = Limit(Model.SLIDING, 3, 600.0)
ONLY_WEBHOOK = Settings(webhooks=2, webhook_limit=SLOW_WEBHOOK, channel_limit=None, ip_limit=None)
ONLY_CHANNEL = Settings(webhooks=2, channels=1, channel_limit=SLOW_CHANNEL, ip_limit=None)


async def post(http: httpx.AsyncClient, url: str, times: int = 1) -> httpx.Response:
    """Post so often; the last answer."""
    answers = [await http.post(url, params={"wait": "true"}, json={"content": "x"}) for _ in range(times)]
    return answers[-1]


def v10(url: str) -> str:
    return url.replace("/api/", "/api/v10/")


async def test_fake_shows_the_webhook_limit_in_every_answer() -> None:
    async with serve_fake(ONLY_WEBHOOK) as fake, httpx.AsyncClient() as http:
        first = await post(http, v10(fake.url(0)))
        last = await post(http, v10(fake.url(0)), 4)
        other = await post(http, v10(fake.url(1)))
    assert first.headers["X-RateLimit-Limit"] == "5"
    assert [answer.headers["X-RateLimit-Remaining"] for answer in (first, last, other)] == ["4", "0", "4"]
    assert first.headers["X-RateLimit-Bucket"] == other.headers["X-RateLimit-Bucket"]
    assert 0 < float(last.headers["X-RateLimit-Reset-After"]) <= 600
    assert "." in last.headers["X-RateLimit-Reset-After"]
    assert "." in last.headers["X-RateLimit-Reset"]


async def test_fake_user_429_states_the_wait_in_seconds() -> None:
    async with serve_fake(ONLY_WEBHOOK) as fake, httpx.AsyncClient() as http:
        answer = await post(http, v10(fake.url()), 6)
    assert answer.status_code == 429
    assert answer.headers["X-RateLimit-Scope"] == "user"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.json()["global"] is False
    assert answer.json()["retry_after"] == float(answer.headers["X-RateLimit-Reset-After"])
    assert int(answer.headers["Retry-After"]) == math.ceil(answer.json()["retry_after"])
    assert (fake.counts.limited, fake.counts.accepted, fake.counts.invalid) == ({"user": 1}, 5, 1)


async def test_fake_unversioned_path_states_the_wait_in_milliseconds() -> None:
    async with serve_fake(ONLY_WEBHOOK) as fake, httpx.AsyncClient() as http:
        answer = await post(http, fake.url(), 6)
    told = answer.json()["retry_after"]
    assert isinstance(told, int)
    assert told == pytest.approx(float(answer.headers["X-RateLimit-Reset-After"]) * 1000)


async def test_fake_channel_limit_is_shared_and_hidden() -> None:
    async with serve_fake(ONLY_CHANNEL) as fake, httpx.AsyncClient() as http:
        fine = await post(http, v10(fake.url(0)), 2)
        await post(http, v10(fake.url(1)))
        answer = await post(http, v10(fake.url(1)))
    assert "X-RateLimit-Scope" not in fine.headers
    assert answer.status_code == 429
    assert answer.headers["X-RateLimit-Scope"] == "shared"
    assert int(answer.headers["X-RateLimit-Remaining"]) > 0
    assert 590 < answer.json()["retry_after"] <= 600
    assert (fake.counts.limited, fake.counts.invalid) == ({"shared": 1}, 0)


async def test_foreign_posts_use_up_the_hidden_limit() -> None:
    async with serve_fake(ONLY_CHANNEL) as fake, httpx.AsyncClient() as http:
        assert [fake.foreign_post() is None for _ in range(4)] == [False, False, False, True]
        answer = await post(http, v10(fake.url(0)))
    assert answer.headers["X-RateLimit-Scope"] == "shared"
    assert (fake.counts.foreign, fake.counts.foreign_refused) == (3, 1)
    assert fake.messages == ()
    assert len(fake.seen()) == 3


async def test_scheduled_foreign_posts_fall_due_in_order_and_are_seen_by_readers() -> None:
    async with serve_fake(Settings(channel_limit=SLOW_CHANNEL)) as fake:
        fake.foreign_posts(every=0.004, count=2)
        fake.foreign_posts(every=0.006, count=9)
        await trio.sleep(0.06)  # the schedule is the thing under test: there is no other event to wait for
        assert len(fake.seen()) == 3
    assert (fake.counts.foreign, fake.counts.foreign_refused) == (3, 8)


async def test_fake_schedule_needs_time_between_posts() -> None:
    async with serve_fake() as fake:
        with pytest.raises(ValueError, match="some time"):
            fake.foreign_posts(every=0)


async def test_fake_address_limit_is_global_and_has_no_bucket() -> None:
    settings = Settings(webhooks=2, ip_limit=Limit(Model.FIXED, 2, 600.0))
    async with serve_fake(settings) as fake, httpx.AsyncClient() as http:
        await post(http, v10(fake.url(0)), 2)
        answer = await post(http, v10(fake.url(1)))
    assert (answer.status_code, answer.json()["global"]) == (429, True)
    assert answer.headers["X-RateLimit-Global"] == "true"
    assert answer.headers["X-RateLimit-Scope"] == "global"
    assert "X-RateLimit-Remaining" not in answer.headers


async def test_too_many_invalid_requests_get_the_address_blocked_by_cloudflare() -> None:
    settings = Settings(invalid_limit=Limit(Model.FIXED, 3, 600.0))
    async with serve_fake(settings) as fake, httpx.AsyncClient() as http:
        for _ in range(3):
            assert (await http.get(fake.url() + "x")).status_code == 401
        answer = await post(http, v10(fake.url()))
    assert answer.status_code == 429
    assert "html" in answer.headers["Content-Type"]
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert int(answer.headers["Retry-After"]) > 590
    assert fake.counts.limited == {"cloudflare": 1}


@pytest.mark.parametrize("scope", Scope)
async def test_fake_scripts_each_kind_of_429(scope: Scope) -> None:
    async with serve_fake() as fake, httpx.AsyncClient() as http:
        fake.script(RateLimited(scope=scope, retry_after=2.5))
        limited = await post(http, v10(fake.url()))
        fine = await post(http, v10(fake.url()))
    assert (limited.status_code, fine.status_code) == (429, 200)
    assert limited.headers["Retry-After"] == "3"
    assert fake.counts.limited == {scope: 1}
    if scope is Scope.CLOUDFLARE:
        assert "retry_after" not in limited.text
    else:
        assert limited.json()["retry_after"] == 2.5
        assert limited.headers["X-RateLimit-Scope"] == scope


@pytest.mark.parametrize("model", Model)
async def test_fake_with_scaled_time_accepts_after_the_stated_wait(model: Model) -> None:
    settings = Settings(webhook_limit=Limit(model, 5, 5.0), channel_limit=None, ip_limit=None, scale=0.1)
    async with serve_fake(settings) as fake, httpx.AsyncClient() as http:
        while fake.counts.limited.get("user", 0) < 3:
            answer = await post(http, v10(fake.url()))
            if answer.status_code == 429:
                assert answer.json()["retry_after"] <= 0.5
                await trio.sleep(answer.json()["retry_after"])
                assert (await post(http, v10(fake.url()))).status_code == 200
    assert fake.counts.accepted >= 8


async def test_rate_headers_can_be_left_out() -> None:
    async with serve_fake(Settings(rate_headers=False)) as fake, httpx.AsyncClient() as http:
        answer = await post(http, v10(fake.url()), 6)
    assert answer.status_code == 429
    assert "X-RateLimit-Remaining" not in answer.headers


async def test_fake_clock_offset_shows_in_date_and_reset_only() -> None:
    async with serve_fake(ONLY_WEBHOOK) as fake, httpx.AsyncClient() as http:
        true = await post(http, v10(fake.url()))
        fake.skew_clock(3600)
        skewed = await post(http, v10(fake.url()))
    ahead = float(skewed.headers["X-RateLimit-Reset"]) - float(true.headers["X-RateLimit-Reset"])
    assert ahead == pytest.approx(3600, abs=5)
    assert float(skewed.headers["X-RateLimit-Reset-After"]) <= 600
    assert skewed.headers["Date"] != true.headers["Date"]
    assert int(skewed.json()["id"]) - int(true.json()["id"]) > 3_500_000 << 22
    assert fake.messages[1].at - fake.messages[0].at < 5
