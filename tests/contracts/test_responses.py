"""The outcome of each response of Discord: every row of the table, over the real HTTP client, against the fake.

The table is in `destinations/discord_table`; here each row is a behaviour of the server and the reported outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
import trio
from tests.contracts.webhook_client import BLOCKED, at, client, fake, limited, webhook, words
from tests.destinations.signals import delivery

from tocsind.config import DiscordOptions, parse
from tocsind.destinations.discord import NO_MESSAGE_ID, DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.policy.backoff import Retry
from tocsind.policy.batch import form
from tocsind.policy.delivery import Delivery, State, settle
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Report, Unknown
from tocsind.testing import (
    Behaviour,
    Cut,
    Drop,
    FakeDiscord,
    Limit,
    Model,
    NoId,
    NotJson,
    NoWait,
    Poison,
    RateLimited,
    Redirect,
    Scope,
    Settings,
    Slow,
    Status,
    serve_fake,
)

__all__ = ["client", "fake"]  # fixtures

ALERTS = [delivery(f"alert {number}") for number in range(3)]


class Row(NamedTuple):
    does: Behaviour
    means: Outcome  # of each delivery in the message
    invalid: bool = False
    kept: bool = False  # whether the message is saved, with any response


LOST = Unknown("the connection ended without a proper answer: it may have arrived")
UNPROVED = Unknown("200 from Discord without a message id: it may have arrived")
BETWEEN = "in words that are not Discord's: is a proxy, a firewall or a captive portal in between?"
REDIRECT = "a redirect, which is never followed; is a proxy or a captive portal in between?"

ROWS = {
    # read or write timeout, disconnect
    "disconnected before it was read": Row(Drop(), LOST),
    "disconnected after it was saved": Row(Drop(saved=True), LOST, kept=True),
    "the answer was cut": Row(Cut(), UNPROVED, kept=True),
    # a proxy responds
    "a 200 that is a web page": Row(Status(200, html=True), Deferred(f"200 {BETWEEN} (200 OK)")),
    "a 200 in plain words": Row(Status(200, text="blocked by your administrator"), Deferred(f"200 {BETWEEN}")),
    "a 200 that is another's JSON": Row(NoId(), Deferred(f"200 {BETWEEN}", ambiguous=True), kept=True),
    "a 403 that is a web page": Row(Status(403, html=True), Deferred(f"403 {BETWEEN} (403 Forbidden)"), invalid=True),
    "a 400 that is a web page": Row(Status(400, html=True), Deferred(f"400 {BETWEEN} (400 Bad Request)")),
    "a 401 in plain words": Row(Status(401, text="who are you?"), Deferred(f"401 {BETWEEN}"), invalid=True),
    "a 404 in plain words": Row(Status(404, text="404 page not found"), Deferred(f"404 {BETWEEN}")),
    "a 404 that is a web page": Row(Status(404, html=True), Deferred(f"404 {BETWEEN} (404 Not Found)")),
    "a 407": Row(Status(407, text="log in first"), Deferred(f"407 {BETWEEN}")),
    "a 302": Row(Redirect(), Deferred(f"302: {REDIRECT}")),
    "a 308": Row(Redirect(status=308), Deferred(f"308: {REDIRECT}")),
    # 500, 502, 503, 504, 52x
    **{
        f"a {status} in {'HTML' if html else 'JSON'}": Row(
            Status(status, html=html), Deferred(f"{status} from Discord", ambiguous=True)
        )
        for status in (500, 502, 503, 504, 520, 522, 524)
        for html in (False, True)
    },
    "a 530, from before anything was processed": Row(Status(530), Deferred("530 from Discord")),
    "a 500 after it was saved": Row(
        Status(500, saved=True), Deferred("500 from Discord", ambiguous=True), kept=True
    ),
    "a 503 that says when to come back": Row(
        Status(503, retry_after=7), Deferred("503 from Discord", wait=7.0, ambiguous=True)
    ),
    "a 408, from before anything was processed": Row(Status(408), Deferred("408: the request did not get through")),
    # 429 user, shared, global
    "a 429 of the user": Row(
        RateLimited(scope=Scope.USER, retry_after=0.4),
        limited("429 from Discord (user): 0.4 s", Reach.ENDPOINT, 0.4),
        invalid=True,
    ),
    "a 429 of the channel": Row(
        RateLimited(scope=Scope.SHARED, retry_after=3.2),
        limited("429 from Discord (shared): 3.2 s", Reach.CHANNEL, 3.2),
    ),
    "a global 429": Row(
        RateLimited(scope=Scope.GLOBAL, retry_after=9),
        limited("429 from Discord (global): 9 s", Reach.KIND, 9.0),
        invalid=True,
    ),
    "an hour's wait": Row(
        RateLimited(scope=Scope.USER, retry_after=3600),
        limited("429 from Discord (user): 3600 s", Reach.ENDPOINT, 3600.0),
        invalid=True,
    ),
    # Cloudflare
    "Cloudflare's 429 with a duration": Row(
        RateLimited(scope=Scope.CLOUDFLARE, retry_after=99), limited(f"429 {BLOCKED} for 99 s", Reach.KIND, 99.0), invalid=True
    ),
    "Cloudflare's 429 as a page, untold": Row(
        Status(429, html=True), limited(f"429 {BLOCKED}", Reach.KIND, None), invalid=True
    ),
    "Cloudflare's 429 in its own words": Row(
        Status(429, text="error code: 1015"),
        limited("429 from Cloudflare (error code 1015): this address is blocked", Reach.KIND, None),
        invalid=True,
    ),
    "a 429 in JSON without retry_after": Row(
        words(429, 0, "slow down"),
        limited("429 from Cloudflare: this address is blocked", Reach.KIND, None),
        invalid=True,
    ),
    "Cloudflare's 403": Row(
        Status(403, text="error code: 1010"),
        limited("403 from Cloudflare (error code 1010): this address is blocked", Reach.KIND, None),
        invalid=True,
    ),
    "code 40333": Row(
        Status(403, code=40333, message="internal network error", retry_after=120),
        limited("403 from Cloudflare (error code 40333): this address is blocked for 120 s", Reach.KIND, 120.0),
        invalid=True,
    ),
    # gone
    "404 with 10015": Row(words(404, 10015), Refused("404 from Discord: Words", disable=True)),
    "401 with 50027": Row(words(401, 50027), Refused("401 from Discord: Words", disable=True), invalid=True),
    "403 with 50013": Row(words(403, 50013), Refused("403 from Discord: Words", strike=True), invalid=True),
    "404 with 10003": Row(words(404, 10003), Refused("404 from Discord: Words", strike=True)),
    "a forum that wants a thread": Row(words(400, 220001), Refused("400 from Discord: Words", strike=True)),
    # a fault of the content that names no embed
    "400 with 50035 and no path": Row(words(400, 50035), Deferred("400 from Discord: Words", Cause.BATCH_REJECTED)),
    "any other 400": Row(words(400, 50006), Deferred("400 from Discord: Words", Cause.BATCH_REJECTED)),
    "words that a filter dislikes, with 403": Row(
        words(403, 20009), Deferred("403 from Discord: Words", Cause.BATCH_REJECTED), invalid=True
    ),
    "words that a filter dislikes": Row(words(400, 240000), Deferred("400 from Discord: Words", Cause.BATCH_REJECTED)),
    "413": Row(Status(413), Deferred("413 from Discord: too large", Cause.BATCH_REJECTED)),
    "413 with 40005": Row(words(413, 40005), Deferred("413 from Discord: too large", Cause.BATCH_REJECTED)),
    "400 with 40005": Row(words(400, 40005), Deferred("400 from Discord: too large", Cause.BATCH_REJECTED)),
    "400 with 50045": Row(words(400, 50045), Deferred("400 from Discord: too large", Cause.BATCH_REJECTED)),
    # everything else
    "any other 4xx": Row(words(405, 0), Refused("405 from Discord: Words")),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_response_applies_to_every_delivery_in_the_message(
    fake: FakeDiscord, client: HttpClient, row: Row
) -> None:
    fake.script(row.does)
    assert await webhook(fake, client).deliver(ALERTS) == Report((row.means,) * len(ALERTS), invalid=row.invalid)
    assert not fake.scripted
    assert (fake.counts.posts, fake.counts.requests, len(fake.messages)) == (1, 1, row.kept)


ALONE = {
    "400 with 50035 and no path": (words(400, 50035), "400 from Discord: Words", True),
    "413": (Status(413), "413 from Discord: too large", True),
    "any other 400": (words(400, 50006), "400 from Discord: Words", False),
}


@pytest.mark.parametrize(("does", "reason", "curable"), ALONE.values(), ids=ALONE.keys())
async def test_rejected_single_delivery_is_repaired_once_or_dead(
    fake: FakeDiscord, client: HttpClient, does: Status, reason: str, curable: bool
) -> None:
    fake.script(does, does)
    first = await webhook(fake, client).deliver([delivery()])
    assert first.outcomes == (Deferred(reason, Cause.FORMAT) if curable else Refused(reason),)
    again = await webhook(fake, client).deliver([delivery(plain=True)])
    assert again.outcomes == (Refused(reason),)


async def test_html_page_after_saved_message_is_outcome_unknown(client: HttpClient) -> None:
    async with serve_fake() as fake:
        fake.script(NotJson())
        report = await webhook(fake, client).deliver([delivery()])
    assert report.outcomes == (Deferred(f"200 {BETWEEN} (200 OK)", ambiguous=True),)
    assert len(fake.messages) == 1


async def test_204_is_delivered_without_message_id_and_noted(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(NoWait())
    report = await webhook(fake, client).deliver(ALERTS)
    assert report == Report((Delivered(),) * 3, note=NO_MESSAGE_ID)
    assert len(fake.messages) == 1


async def test_200_with_id_is_delivered_and_reports_rate_limit_window(client: HttpClient) -> None:
    async with serve_fake(Settings(webhook_limit=Limit(Model.FIXED, 5, 2.0))) as fake:
        report = await webhook(fake, client).deliver(ALERTS)
    assert report.outcomes == (Delivered(fake.messages[0].message_id),) * 3
    assert report.rate_headers is not None
    assert (report.rate_headers.limit, report.rate_headers.remaining) == (5, 4)
    assert 0 < report.rate_headers.reset_after <= 2.0
    assert report.invalid is False


# --- not sent, and outcome unknown -----------------------------------------------------------------------------------------


UNSENT = {
    "connecting": ("http://127.0.0.1:1/api/v10/webhooks/1/t", "cannot connect (Connection refused)"),
    "DNS": ("http://no-such-name.invalid/api/v10/webhooks/1/t", "cannot connect (DNS: the name does not resolve)"),
}


@pytest.mark.parametrize(("url", "why"), UNSENT.values(), ids=UNSENT.keys())
async def test_refused_connection_is_deferred_without_doubt(
    client: HttpClient, url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    async with HttpClient() as fresh:
        assert await at(url, fresh).deliver(ALERTS) == Report((Deferred(f"{why}: nothing was sent", unsent=True),) * 3)


async def test_failed_tls_handshake_is_deferred_without_doubt(fake: FakeDiscord, client: HttpClient) -> None:
    report = await at(fake.url().replace("http:", "https:"), client).deliver(ALERTS)
    assert report == Report((Deferred("cannot connect (TLS handshake failed): nothing was sent", unsent=True),) * 3)


@pytest.mark.parametrize("kept", [0, 1])
async def test_response_after_timeout_is_outcome_unknown(fake: FakeDiscord, client: HttpClient, kept: int) -> None:
    if kept:
        fake.script(Slow(delay=30))
    else:
        fake.hold()
    report = await webhook(fake, client, deadline=1.0).deliver(ALERTS)
    assert report == Report((Unknown("no answer within 1 s: it may have arrived"),) * 3)
    assert len(fake.messages) == kept


async def test_cancelled_request_is_outcome_unknown(fake: FakeDiscord, client: HttpClient) -> None:
    fake.hold(saved=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(webhook(fake, client).deliver, ALERTS)
        await fake.until(lambda: fake.counts.held == 1)
        nursery.cancel_scope.cancel()
    assert len(fake.messages) == 1


# --- rate limits of the fake, without a script -------------------------------------------------------------------------------


async def spent(fake: FakeDiscord, client: HttpClient, url: str | None = None) -> Report:
    """The report of one request more than permitted."""
    destination = at(url, client) if url else webhook(fake, client)
    await destination.deliver([delivery()])
    return await destination.deliver([delivery()])


def only(report: Report) -> Deferred:
    (outcome,) = report.outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.cause is Cause.LIMITED
    return outcome


async def test_user_429_limits_webhook_until_retry_after(client: HttpClient) -> None:
    async with serve_fake(Settings(webhook_limit=Limit(Model.FIXED, 1, 5.0))) as fake:
        report = await spent(fake, client)
    outcome = only(report)
    assert (outcome.reach, report.invalid) == (Reach.ENDPOINT, True)
    assert outcome.wait is not None
    assert 0 < outcome.wait <= 5.0
    assert report.rate_headers is not None
    assert (report.rate_headers.remaining, report.rate_headers.limit) == (0, 1)


@pytest.mark.parametrize("bare", [False, True], ids=["said to be shared", "some remain"])
async def test_shared_429_limits_channel(client: HttpClient, bare: bool) -> None:
    async with serve_fake(Settings(channel_limit=Limit(Model.SLIDING, 1, 60.0))) as fake:
        if bare:
            fake.script(Status(500), RateLimited(scope=Scope.SHARED, retry_after=60, bare=True))
        report = await spent(fake, client)
    outcome = only(report)
    assert (outcome.reach, report.invalid) == (
        Reach.CHANNEL,
        bare,
    )  # a 429 that is not marked as shared counts, to be safe
    assert outcome.wait is not None
    assert 50 < outcome.wait <= 60.0


async def test_global_429_limits_host(client: HttpClient) -> None:
    async with serve_fake(Settings(ip_limit=Limit(Model.FIXED, 1, 5.0))) as fake:
        assert only(await spent(fake, client)).reach is Reach.KIND


async def test_cloudflare_ban_in_html_limits_host(client: HttpClient) -> None:
    async with serve_fake(Settings(invalid_limit=Limit(Model.FIXED, 1, 600.0))) as fake:
        fake.script(words(403, 0))
        outcome = only(await spent(fake, client))
    assert outcome.reach is Reach.KIND
    assert outcome.wait is not None
    assert 590 < outcome.wait <= 600


async def test_webhook_url_without_api_version_gets_retry_after_in_seconds(client: HttpClient) -> None:
    async with serve_fake(Settings(webhook_limit=Limit(Model.FIXED, 1, 60.0))) as fake:
        text = f'[destinations.d]\nkind = "discord"\nwebhook = "{fake.url()}"\n[[routes]]\nto = ["d"]'
        options = parse(text, "alerts.toml").destinations["d"].options
        assert isinstance(options, DiscordOptions)
        assert options.webhook
        outcome = only(await spent(fake, client, options.webhook.reveal()))
    assert outcome.wait is not None
    assert 30 < outcome.wait <= 60


async def test_retry_after_in_milliseconds_is_recognised_by_its_header(client: HttpClient) -> None:
    async with serve_fake(Settings(webhook_limit=Limit(Model.FIXED, 1, 60.0))) as fake:
        outcome = only(await spent(fake, client, fake.url()))
    assert outcome.wait is not None
    assert 30 < outcome.wait <= 60


# --- the webhook itself ----------------------------------------------------------------------------------------------------


async def test_deleted_webhook_and_wrong_token_disable_destination(fake: FakeDiscord, client: HttpClient) -> None:
    wrong = at(fake.url().replace("/api/", "/api/v10/") + "x", client)
    fired = Refused("401 from Discord: Invalid Webhook Token", disable=True)
    assert await wrong.deliver([delivery()]) == Report((fired,), invalid=True)
    fake.delete()
    gone = Refused("404 from Discord: Unknown Webhook", disable=True)
    assert await webhook(fake, client).deliver([delivery()]) == Report((gone,))


async def test_redirect_is_never_followed(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(Redirect(location=fake.url()))
    await webhook(fake, client).deliver([delivery()])
    assert (fake.counts.requests, fake.messages) == (1, ())


# --- a rejected item --------------------------------------------------------------------------------------------------------


ANOTHER = Deferred("400 from Discord: another alert of the same message was refused", Cause.BATCH_MATE)


async def test_400_with_embed_index_rejects_that_delivery_only(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(Poison(text="alert 1", within="title"))
    report = await webhook(fake, client).deliver(ALERTS)
    why = "400 from Discord: title: This is refused."
    assert report == Report((ANOTHER, Deferred(why, Cause.FORMAT), ANOTHER))
    again = await webhook(fake, client).deliver([delivery("alert 1", plain=True)])
    assert again == Report((Refused(why, named=True),))


async def test_400_in_old_format_rejects_named_embed_only(fake: FakeDiscord, client: HttpClient) -> None:
    fake.script(Status(400, text='{"embeds": ["2"]}'))
    report = await webhook(fake, client).deliver(ALERTS)
    assert report == Report((ANOTHER, ANOTHER, Deferred("400 from Discord", Cause.FORMAT)))


async def test_400_about_username_is_repeated_without_username(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, username="Bell")
    tree = {"username": {"_errors": [{"code": "USERNAME_INVALID", "message": "Bad"}]}}
    fake.script(Status(400, code=50035, message="Invalid Form Body", errors=tree))
    report = await destination.deliver(ALERTS)
    assert report.outcomes == (Deferred("400 from Discord: username: Bad", Cause.BATCH_MATE),) * 3
    assert "the configured name" in str(report.note)
    assert isinstance((await destination.deliver(ALERTS)).outcomes[0], Delivered)
    assert "username" not in fake.messages[0].payload


async def drive(destination: DiscordWebhook, alerts: Sequence[Delivery]) -> dict[str, State]:
    """Deliver until no delivery is queued; the policy alone forms batches and settles them."""
    waiting, ended = list(alerts), dict[str, State]()
    while waiting:
        chosen = form(
            [destination.footprint(each) for each in waiting], destination.max_items, destination.max_chars
        ).chosen
        batch = [waiting[place] for place in chosen]
        report = await destination.deliver(batch)
        for each, outcome in zip(batch, report.outcomes, strict=True):
            after = settle(each, outcome, now=0.0, retry=Retry(), jitter=0.0)
            place = waiting.index(each)
            if after.state is State.QUEUED:
                waiting[place] = msgspec.structs.replace(
                    each, plain_format=after.plain_format, max_batch=after.max_batch
                )
            else:
                ended[each.signal.title] = after.state
                del waiting[place]
    return ended


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize(("within", "cured"), [("url", True), ("title", False)])
async def test_two_rejected_of_twenty_signals_leave_eighteen_delivered_once(
    fake: FakeDiscord, client: HttpClient, within: str, cured: bool, named: bool
) -> None:
    alerts = [delivery(f"alert {n}.", link=f"https://example.com/{n}.") for n in range(20)]
    fake.script(Poison(text="7.", within=within, named=named))
    ended = await drive(webhook(fake, client), alerts)
    poisoned = {"alert 7.", "alert 17."}
    assert {title for title, state in ended.items() if state is State.DEAD} == (set() if cured else poisoned)
    read = [seen.text for seen in fake.seen()]
    assert sorted(read) == sorted(title for title, state in ended.items() if state is State.SENT)
    assert len(ended) == 20
    assert fake.counts.posts <= (8 if named else 22)
