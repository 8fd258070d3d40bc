"""A webhook as a destination: what it says of a delivery, of itself, and of what it would send. Its answers are in tests/contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.destinations.signals import delivery

from tocsind.clock import SystemClock
from tocsind.config import DestinationOptions, DiscordOptions
from tocsind.destinations.discord import DiscordWebhook, with_wait, without_token
from tocsind.destinations.http import HttpClient
from tocsind.destinations.refused_parts import FIRST_PAUSE
from tocsind.destinations.registry import build, pace
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery
from tocsind.policy.outcomes import Cause, ChannelInfo, Deferred, Delivered, Refused, Report
from tocsind.policy.pace import GUARD, Pace
from tocsind.rendering.discord import Notify, size
from tocsind.secret import Secret
from tocsind.testing import FakeDiscord, NoId, NoWait, RateLimited, Scope, Settings, Status, serve_fake
from tocsind.testing.mentions import Mentions

BETWEEN = "in words that are not Discord's: is a proxy, a firewall or a captive portal in between?"
WAKING = {"urgent": ("role:123", "user:456"), "high": ("here",)}


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
    clock = options.pop("clock", None)
    return DiscordWebhook(DiscordOptions(webhook=Secret(url), **{"deadline": 5.0, **options}), client, clock=clock)


def offline(client: HttpClient, **options: Any) -> DiscordWebhook:
    return DiscordWebhook(DiscordOptions(webhook=Secret("http://127.0.0.1:1/api/v10/webhooks/1/t"), **options), client)


async def test_webhook_delivers_a_signal_and_returns_its_message_id(fake: FakeDiscord, client: HttpClient) -> None:
    report = await webhook(fake, client, username="tocsin").deliver([delivery(body="_fast_ MA")])
    assert report == Report((Delivered(fake.messages[0].message_id),))
    assert fake.seen()[0].text == "BUY BTCUSDT"
    assert fake.counts.unsaved == 0


async def test_webhook_sends_a_batch_as_one_message_with_one_id(fake: FakeDiscord, client: HttpClient) -> None:
    report = await webhook(fake, client).deliver([delivery("one"), delivery("two")])
    assert report.outcomes == (Delivered(fake.messages[0].message_id),) * 2
    assert [seen.text for seen in fake.seen()] == ["one", "two"]
    assert fake.counts.posts == 1


async def test_report_contains_the_rate_headers_of_the_webhook(client: HttpClient) -> None:
    async with serve_fake() as fake:
        destination = webhook(fake, client)
        told = [(await destination.deliver([delivery()])).rate_headers for _ in range(5)]
    assert [(each.limit, each.remaining) for each in told if each] == [(5, left) for left in (4, 3, 2, 1, 0)]
    assert told[4] is not None
    assert 0 < told[4].reset_after <= 2.0


# --- whom it wakes ------------------------------------------------------------------------------------------------------


async def test_signal_text_mentions_no_reader(fake: FakeDiscord, client: HttpClient) -> None:
    await webhook(fake, client).deliver([delivery("@everyone <@1> <@&2>", body="@here")])
    assert not fake.messages[0].mentions
    assert fake.messages[0].payload["allowed_mentions"] == {"parse": []}


async def test_webhook_mentions_those_configured_for_the_priority(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, mention=WAKING)
    for priority in ("urgent", "high", "normal"):
        await destination.deliver([delivery("@everyone <@1> <@&2>", priority=priority)])
    urgent, high, normal = (message.mentions for message in fake.messages)
    assert urgent == Mentions(users=("456",), roles=("123",))
    assert high == Mentions(everyone=True)
    assert not normal


async def test_webhook_is_silent_for_silent_priorities_only(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, silent=("low",))
    await destination.deliver([delivery(priority="low")])
    await destination.deliver([delivery()])
    assert [seen.silent for seen in fake.seen()] == [True, False]


def test_batch_has_one_set_of_mentions_and_one_silence() -> None:
    destination = offline(HttpClient(), mention=WAKING, silent=("low",))
    shares = {name: destination.footprint(delivery(priority=name)) for name in ("urgent", "high", "normal", "low")}
    assert shares["urgent"].key == Notify(("role:123", "user:456"), push=("urgent", "high"))
    assert len({share.key for share in shares.values()}) == 4
    plain = offline(HttpClient())
    assert len({plain.footprint(delivery(priority=name)).key for name in shares}) == 1


def test_footprint_is_the_size_and_what_a_delivery_may_share() -> None:
    long = msgspec.structs.replace(delivery(body="x" * 9000), max_batch=5)
    share = offline(HttpClient()).footprint(long)
    assert (share.size, share.max_batch) == (size(long), 5)
    assert 4096 < share.size <= offline(HttpClient()).max_chars


# --- what it leaves out --------------------------------------------------------------------------------------------------


async def sent(destination: DiscordWebhook, batch: Sequence[Delivery]) -> list[Any]:
    return list((await destination.deliver(batch)).outcomes)


@pytest.mark.parametrize("part", ["username", "content", "allowed_mentions", "flags"])
async def test_webhook_leaves_out_a_refused_part_of_the_request(
    fake: FakeDiscord, client: HttpClient, part: str
) -> None:
    destination = webhook(fake, client, username="Bell", mention=WAKING, silent=("urgent",))
    batch = [delivery("one", priority="urgent"), delivery("two", priority="urgent")]
    assert part in destination.preview(batch)["payload"]
    errors = {part: {"_errors": [{"code": "X", "message": "Bad"}]}}
    fake.script(Status(400, code=50035, message="Invalid Form Body", errors=errors, count=2))
    batch_mate = Deferred(f"400 from Discord: {part}: Bad", Cause.BATCH_MATE)
    assert await sent(destination, batch) == [batch_mate] * 2
    # Who refuses what was not sent is not believed twice.
    assert await sent(destination, batch) == [Deferred(f"400 from Discord: {part}: Bad", Cause.BATCH_REJECTED)] * 2
    assert isinstance((await sent(destination, batch))[0], Delivered)
    kept = fake.messages[0]
    assert ("username" in kept.payload) == (part != "username")
    assert bool(kept.mentions) == (part not in {"content", "allowed_mentions"})
    assert bool(kept.payload["flags"]) == (part != "flags")


class LaterClock(SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


async def test_refused_line_of_text_returns_after_a_while(fake: FakeDiscord, client: HttpClient) -> None:
    clock = LaterClock()
    destination = webhook(fake, client, clock=clock)
    batch = [delivery("one", priority="urgent")]
    errors = {"content": {"_errors": [{"code": "X", "message": "Bad"}]}}
    refusal = Status(400, code=50035, message="Invalid Form Body", errors=errors)
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
        fake.script(refusal)
        refused = await destination.deliver(batch)
        assert "no text and mention no one: 400 from Discord: content: Bad (tried again after" in str(refused.note)
        plain = await destination.deliver(batch)
        assert (plain.note, "content" in fake.messages[-1].payload) == (refused.note, False)
        clock.ahead += pause - 10
        assert "content" not in destination.preview(batch)["payload"]
        clock.ahead += 11
    whole = await destination.deliver(batch)
    assert fake.messages[-1].payload["content"] == "🚨 one"
    assert whole.note == ""
    fake.script(refusal)
    assert "tried again after 5m" in str((await destination.deliver(batch)).note)


# --- where it leads --------------------------------------------------------------------------------------------------------


async def test_webhook_query_finds_the_channel(fake: FakeDiscord, client: HttpClient) -> None:
    place = await webhook(fake, client, query="?thread_id=5").discover()
    assert place == ChannelInfo(fake.webhooks[0].channel_id, answered=True, shows="the webhook Webhook 0 answers")
    assert (fake.counts.requests, fake.counts.posts) == (1, 0)


async def test_webhook_query_does_not_report_its_own_rate_window(client: HttpClient) -> None:
    async with serve_fake() as fake:
        assert await webhook(fake, client).check() == ChannelInfo(
            fake.webhooks[0].channel_id, answered=True, shows="the webhook Webhook 0 answers"
        )


async def test_webhook_query_finds_that_the_webhook_is_gone(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client)
    fake.delete()
    assert await destination.discover() == ChannelInfo(
        problem=Refused("404 from Discord: Unknown Webhook", disable=True)
    )
    fake.script(Status(401, code=50027, message="Invalid Webhook Token", method="GET"))
    refused = Refused("401 from Discord: Invalid Webhook Token", disable=True)
    assert await destination.discover() == ChannelInfo(problem=refused, invalid=True)


async def test_discover_reads_errors_by_the_response_table(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(
        RateLimited(scope=Scope.CLOUDFLARE, retry_after=99, method="GET"),
        Status(503, method="GET"),
        Status(400, code=50035, message="Invalid Form Body", method="GET"),
        Status(404, text="404 page not found", method="GET"),
        Status(401, html=True, method="GET"),
        Status(200, html=True, method="GET"),
        NoWait(method="GET"),
    )
    places = [await webhook(fake, client).discover() for _ in range(7)]
    assert [place.problem and place.problem.reason for place in places] == [
        "429 from Cloudflare: this address is blocked for 99 s",
        "503 from Discord",
        "400 from Discord: Invalid Form Body",
        f"404 {BETWEEN}",
        f"401 {BETWEEN} (401 Unauthorized)",
        f"200 {BETWEEN} (200 OK)",
        "204 when asked for the channel",
    ]
    assert [place.invalid for place in places] == [True, False, False, False, True, False, False]
    assert not any(isinstance(place.problem, Refused) and place.problem.disable for place in places)
    nowhere = await offline(client).discover()
    assert nowhere == ChannelInfo(
        problem=Deferred("cannot connect (Connection refused): nothing was sent", unsent=True)
    )


async def test_webhook_without_a_channel_id_is_a_channel_of_its_own(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(NoId(method="GET"))
    assert await webhook(fake, client).discover() == ChannelInfo(
        answered=True, shows="the webhook without a name answers"
    )


# --- what it would send ---------------------------------------------------------------------------------------------------


def used(preview: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {limit["name"]: (limit["used"], limit["most"]) for limit in preview["limits"]}


async def test_webhook_preview_is_what_would_be_sent_and_sends_nothing(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, username="Bell", mention=WAKING)
    batch = [delivery(priority="urgent", body="fast MA", fields={"rsi": 33})]
    preview = destination.preview(batch)
    assert fake.counts.requests == 0
    await destination.deliver(batch)
    stored = fake.messages[0].payload
    assert preview["payload"]["content"] == stored["content"] == "🚨 BUY BTCUSDT · rsi 33 <@&123> <@456>"
    assert preview["payload"]["embeds"][0]["description"] == stored["embeds"][0]["description"] == "fast MA"
    assert preview["notes"] == []
    assert used(preview)["embed title"] == (0, 256)
    assert used(preview)["content"] == (37, 2000)
    assert used(preview)["username"] == (4, 80)
    assert msgspec.json.decode(msgspec.json.encode(preview)) == preview
    assert fake.webhooks[0].token not in str(preview)


def test_webhook_preview_names_what_is_cut_or_left_out() -> None:
    destination = offline(HttpClient(), username="@here is Clyde")
    fields: dict[str, Any] = {"a*" * 200: 1, "note": "x" * 2000} | {f"f{n}": n for n in range(40)}
    preview = destination.preview([delivery("T" * 300, body="b" * 5000, fields=fields, link="ftp://x.y", symbol="B")])
    assert preview["notes"] == [
        "title was cut from 300 to 256",
        f"body was cut from 5,000 to {len(preview['payload']['embeds'][0]['description']):,}",
        "link is shown as a field: Discord takes no such one",
        "20 of 44 fields were left out",
        "a field's name was cut from 600 to 256",
        "field note was cut from 2,000 to 1,024",
        "the username was left out: Discord refuses it",
    ]
    assert used(preview)["embeds together"][0] <= 6000


def test_webhook_preview_of_the_plain_format_says_so() -> None:
    (note,) = offline(HttpClient()).preview([delivery(plain=True, body="\u200b\u200b")])["notes"]
    assert note.startswith("in plain form")


# --- the rest --------------------------------------------------------------------------------------------------------------


async def test_webhook_sends_after_a_cancelled_request(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client)
    fake.hold()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(destination.deliver, [delivery()])
        await fake.until(lambda: fake.counts.held == 1)
        nursery.cancel_scope.cancel()
    fake.release()
    assert isinstance((await sent(destination, [delivery()]))[0], Delivered)


def test_webhook_url_keeps_thread_and_adds_wait_for_posts_only() -> None:
    url = Secret("https://discord.com/api/v10/webhooks/1/t?thread_id=5&wait=false")
    assert with_wait(url).reveal() == "https://discord.com/api/v10/webhooks/1/t?thread_id=5&wait=true"
    assert without_token(url).reveal() == "https://discord.com/api/v10/webhooks/1/t"


async def test_registry_builds_a_webhook(fake: FakeDiscord, client: HttpClient, tmp_path: Path) -> None:
    options = DiscordOptions(webhook=Secret(fake.url().replace("/api/", "/api/v10/")))
    destination = build(DestinationOptions(name="d", kind="discord", options=options), client, tmp_path)
    assert (destination.max_items, destination.max_chars) == (10, 6000)
    assert isinstance((await destination.deliver([delivery()])).outcomes[0], Delivered)
    await destination.aclose()


async def test_registry_builds_a_destination_without_its_webhook(client: HttpClient, tmp_path: Path) -> None:
    destination = build(DestinationOptions(name="d", kind="discord", options=DiscordOptions()), client, tmp_path)
    assert destination.footprint(delivery()).size > 0
    assert destination.preview([delivery()])["payload"]["embeds"]
    await destination.aclose()


def test_registry_knows_the_pace_of_discord() -> None:
    own = DiscordOptions(webhook_limit=Rate(3, 1.0), channel_limit=Rate(7, 60.0))
    slower = Pace(Rate(3, 1.0), Rate(7, 60.0), Rate(45, 1.1), GUARD)
    assert pace(DestinationOptions(name="d", kind="discord", options=own)) == slower
    assert pace(DestinationOptions(name="d", kind="discord", options=DiscordOptions())).endpoint == Rate(5, 2.0)
