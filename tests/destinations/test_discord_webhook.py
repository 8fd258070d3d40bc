"""The same table over real HTTP, against the fake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.destinations.signals import delivery

from tocsind.config import DestinationOptions, DiscordOptions
from tocsind.destinations.discord import DiscordWebhook, waiting
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Unknown
from tocsind.secret import Secret
from tocsind.testing import (
    Behaviour,
    Cut,
    Drop,
    FakeDiscord,
    NoId,
    NotJson,
    RateLimited,
    Redirect,
    Scope,
    Settings,
    Slow,
    Status,
    serve_fake,
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with serve_fake(Settings().without_limits()) as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


def webhook(fake: FakeDiscord, client: HttpClient, **options: Any) -> DiscordWebhook:
    url = fake.url().replace("/api/webhooks", "/api/v10/webhooks") + options.pop("query", "")
    return DiscordWebhook(DiscordOptions(webhook=Secret(url), **{"deadline": 5.0, **options}), client)


async def pause_of(destination: DiscordWebhook) -> float:
    [outcome] = await destination.deliver([delivery()])
    assert isinstance(outcome, Delivered)
    return outcome.pause


async def test_a_signal_arrives_and_its_message_id_is_the_proof(fake: FakeDiscord, client: HttpClient) -> None:
    outcomes = await webhook(fake, client, username="tocsin").deliver([delivery(body="_fast_ MA")])
    assert outcomes == [Delivered(fake.messages[0].message_id)]
    assert fake.seen()[0].text == "BUY BTCUSDT"
    assert fake.counts.unsaved == 0


async def test_a_batch_is_one_message_and_shares_its_outcome(fake: FakeDiscord, client: HttpClient) -> None:
    outcomes = await webhook(fake, client).deliver([delivery("one"), delivery("two")])
    assert outcomes == [Delivered(fake.messages[0].message_id)] * 2
    assert len(fake.messages) == 1


async def test_nobody_is_mentioned_whatever_a_signal_says(fake: FakeDiscord, client: HttpClient) -> None:
    await webhook(fake, client).deliver([delivery("@everyone <@1> <@&2>", body="@here")])
    assert not fake.messages[0].mentions
    assert fake.messages[0].payload["allowed_mentions"] == {"parse": []}


async def test_the_last_slot_of_the_bucket_asks_for_a_pause(client: HttpClient) -> None:
    async with serve_fake() as fake:
        destination = webhook(fake, client)
        pauses = [await pause_of(destination) for _ in range(5)]
    assert pauses[:4] == [0.0] * 4
    assert 0 < pauses[4] <= 2.0


FAILED = Deferred("500 from Discord", ambiguous=True)
LOST = Unknown("the connection ended without a proper answer: it may have arrived")
UNPROVED = Unknown("200 from Discord without a message id: it may have arrived")


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (Status(500), FAILED),
        (Status(500, saved=True), FAILED),
        (Status(500, html=True), FAILED),
        (Status(503, retry_after=7), Deferred("503 from Discord", wait=7.0, ambiguous=True)),
        (
            Status(401, code=50027, message="Invalid Webhook Token"),
            Refused("401 from Discord: Invalid Webhook Token", disable=True),
        ),
        (Status(404, code=10003, message="Unknown Channel"), Refused("404 from Discord: Unknown Channel")),
        (Status(403, code=50013, message="Missing Permissions"), Refused("403 from Discord: Missing Permissions")),
        (Status(413, code=40005, message="Request entity too large"), Refused("413 from Discord: too large")),
        (Redirect(), Refused("302: a redirect, which is never followed")),
        (Drop(), LOST),
        (Drop(saved=True), LOST),
        (Cut(), UNPROVED),
        (NotJson(), UNPROVED),
        (NoId(), UNPROVED),
        (
            RateLimited(scope=Scope.USER, retry_after=0.4),
            Deferred("429 from Discord (user): 0.4 s", Cause.LIMITED, Reach.LANE, 0.4),
        ),
        (
            RateLimited(scope=Scope.SHARED, retry_after=3.2),
            Deferred("429 from Discord (shared): 3.2 s", Cause.LIMITED, Reach.LANE, 3.2),
        ),
        (
            RateLimited(scope=Scope.GLOBAL, retry_after=9),
            Deferred("429 from Discord (global): 9 s", Cause.LIMITED, Reach.KIND, 9.0),
        ),
        (
            RateLimited(scope=Scope.CLOUDFLARE, retry_after=99),
            Deferred("429 from Cloudflare: this address is blocked for 99 s", Cause.LIMITED, Reach.KIND, 99.0),
        ),
    ],
)
async def test_what_discord_does_becomes_an_outcome(
    fake: FakeDiscord, client: HttpClient, told: Behaviour, outcome: Outcome
) -> None:
    fake.script(told)
    assert await webhook(fake, client).deliver([delivery()]) == [outcome]
    assert not fake.scripted


async def test_a_deleted_webhook_disables_its_destination(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client)
    fake.delete()
    assert await destination.deliver([delivery()]) == [Refused("404 from Discord: Unknown Webhook", disable=True)]


async def test_a_server_that_is_not_there_was_sent_nothing(client: HttpClient) -> None:
    destination = DiscordWebhook(DiscordOptions(webhook=Secret("http://127.0.0.1:1/api/v10/webhooks/1/t")), client)
    assert await destination.deliver([delivery()]) == [
        Deferred("cannot connect (Connection refused): nothing was sent")
    ]


async def test_an_answer_that_comes_too_late_is_unknown(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(Slow(delay=30))
    outcomes = await webhook(fake, client, deadline=0.2).deliver([delivery()])
    assert isinstance(outcomes[0], Unknown)
    assert len(fake.messages) == 1


async def test_a_send_may_be_cancelled_and_the_next_one_goes_out(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client)
    fake.hold()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(destination.deliver, [delivery()])
        await fake.until(lambda: fake.counts.held == 1)
        nursery.cancel_scope.cancel()
    fake.release()
    assert isinstance((await destination.deliver([delivery()]))[0], Delivered)


def test_the_query_keeps_its_thread_and_gains_the_wait() -> None:
    url = waiting(Secret("https://discord.com/api/v10/webhooks/1/t?thread_id=5&wait=false"))
    assert url.reveal() == "https://discord.com/api/v10/webhooks/1/t?thread_id=5&wait=true"


async def test_the_registry_builds_a_webhook(fake: FakeDiscord, client: HttpClient, tmp_path: Path) -> None:
    options = DiscordOptions(webhook=Secret(fake.url().replace("/api/", "/api/v10/")))
    destination = build(DestinationOptions(name="d", kind="discord", options=options), client, tmp_path)
    assert destination.most == 1
    assert isinstance((await destination.deliver([delivery()]))[0], Delivered)
    await destination.aclose()


async def test_the_registry_builds_a_destination_whose_webhook_is_not_set(client: HttpClient, tmp_path: Path) -> None:
    destination = build(DestinationOptions(name="d", kind="discord", options=DiscordOptions()), client, tmp_path)
    await destination.aclose()
