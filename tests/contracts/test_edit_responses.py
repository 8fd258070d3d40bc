"""The outcomes of edits: every row of `discord_table.EDITS`, and the rows that differ from posts, over real HTTP against the fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.contracts.webhook_client import BLOCKED, at, client, fake, limited, webhook, words

from tocsin.signals import Signal
from tocsind.destinations.discord import DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.policy.backoff import Retry
from tocsind.policy.delivery import Delivery, Priority, State, settle
from tocsind.policy.live_message import LiveMessage
from tocsind.policy.live_update import after, build, is_message_gone
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Outcome, Reach, Refused, Report
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


def state(order: int, title: str, priority: Priority = Priority.NORMAL, **known: Any) -> Delivery:
    signal = Signal(title, key="trade", **known.pop("fields", {}))
    return Delivery(order, signal, "d", priority, 1_767_225_600.0 + order, order=order, **known)


def edit(message: str, *states: Delivery) -> list[Delivery]:
    """The deliveries of these states as an edit of that message."""
    return build("trade", "webhook", LiveMessage(message), None, states or (state(1, "filled"), state(2, "closed")))


async def posted(fake: FakeDiscord, client: HttpClient) -> str:
    """Post the first state; returns the id of the message."""
    report = await webhook(fake, client).deliver(build("trade", "webhook", LiveMessage(), None, [state(0, "opened")]))
    assert report.outcomes == (Delivered(fake.messages[-1].message_id),)
    return fake.messages[-1].message_id


def repost(status: int, words: str = ": Words") -> Deferred:
    return Deferred(f"{status} from Discord{words}: it cannot be edited, and is posted again", Cause.TARGET_GONE)


AGAIN = "; an edit can be made again"
LOST = Deferred(f"the connection ended without a proper answer: it may have arrived{AGAIN}")
UNPROVED = Deferred(f"200 from Discord without a message id: it may have arrived{AGAIN}")
BETWEEN = "in words that are not Discord's: is a proxy, a firewall or a captive portal in between?"
REDIRECT = "a redirect, which is never followed; is a proxy or a captive portal in between?"

ROWS: dict[str, tuple[Behaviour, Outcome]] = {
    # the message is gone, or closed to edits
    "404 with 10008": (words(404, 10008), repost(404)),
    "404 without a code": (Status(404), repost(404, ": 404: Not Found")),
    "405, from a proxy that knows no PATCH": (Status(405), repost(405, ": 405: Method Not Allowed")),
    "429 with 30046, too old": (words(429, 30046), repost(429)),
    "400 with 30046, too old": (words(400, 30046), repost(400)),
    "403 with 50005, of another webhook": (words(403, 50005), repost(403)),
    "400 with 50083, a closed thread": (words(400, 50083), repost(400)),
    # more than the message is gone
    "404 with 10015": (words(404, 10015), Refused("404 from Discord: Words", disable=True)),
    "401 with 50027": (words(401, 50027), Refused("401 from Discord: Words", disable=True)),
    "404 with 10003": (words(404, 10003), Refused("404 from Discord: Words", strike=True)),
    "403 with 50013": (words(403, 50013), Refused("403 from Discord: Words", strike=True)),
    # outcome unknown; a repeated edit does no harm
    "disconnected before it was read": (Drop(), LOST),
    "disconnected after it was saved": (Drop(saved=True), LOST),
    "the answer was cut": (Cut(), UNPROVED),
    "a 200 that is a web page": (NotJson(), Deferred(f"200 {BETWEEN} (200 OK)")),
    "a 200 that is another's JSON": (NoId(), Deferred(f"200 {BETWEEN}")),
    "a 503": (Status(503), Deferred("503 from Discord")),
    "a 500 after it was saved": (Status(500, saved=True), Deferred("500 from Discord")),
    # as for a post
    "a 408": (Status(408), Deferred("408: the request did not get through")),
    "a 429 of the user": (
        RateLimited(scope=Scope.USER, retry_after=0.4), limited("429 from Discord (user): 0.4 s", Reach.ENDPOINT, 0.4)
    ),
    "a 429 of the channel": (
        RateLimited(scope=Scope.SHARED, retry_after=3.2), limited("429 from Discord (shared): 3.2 s", Reach.CHANNEL, 3.2)
    ),
    "Cloudflare's 429": (
        RateLimited(scope=Scope.CLOUDFLARE, retry_after=9), limited(f"429 {BLOCKED} for 9 s", Reach.KIND, 9.0)
    ),
    "a 4xx that is a web page": (
        Status(404, html=True), Deferred(f"404 {BETWEEN} (404 Not Found)")
    ),
    "a 404 in plain words": (Status(404, text="404 page not found"), Deferred(f"404 {BETWEEN}")),
    "a 405 that is a web page": (Status(405, html=True), repost(405, "")),
    "a 302": (Redirect(), Deferred(f"302: {REDIRECT}")),
}  # fmt: skip


def patched(does: Behaviour) -> Behaviour:
    """The same behaviour for an edit."""
    return msgspec.structs.replace(does, method="PATCH")


@pytest.mark.parametrize(("does", "means"), ROWS.values(), ids=ROWS.keys())
async def test_edit_response_applies_to_every_state_in_the_edit(
    fake: FakeDiscord, client: HttpClient, does: Behaviour, means: Outcome
) -> None:
    message = await posted(fake, client)
    fake.script(patched(does))
    report = await webhook(fake, client).deliver(edit(message))
    assert report.outcomes == (means,) * 2
    assert not fake.scripted
    assert (fake.counts.posts, fake.counts.requests, len(fake.messages)) == (1, 2, 1)


async def test_edit_response_without_body_keeps_message_id(fake: FakeDiscord, client: HttpClient) -> None:
    message = await posted(fake, client)
    fake.script(patched(NoWait()))
    report = await webhook(fake, client).deliver(edit(message))
    assert report == Report((Delivered(message),) * 2)


async def test_edit_that_times_out_is_repeated(fake: FakeDiscord, client: HttpClient) -> None:
    message = await posted(fake, client)
    fake.script(patched(Slow(delay=30)))
    report = await webhook(fake, client, deadline=1.0).deliver(edit(message))
    assert report == Report((Deferred(f"no answer within 1 s: it may have arrived{AGAIN}"),) * 2)
    again = await webhook(fake, client).deliver(edit(message))
    assert again.outcomes == (Delivered(message),) * 2
    assert [each.message_id for each in fake.messages] == [message]


async def test_edit_shows_last_state_and_reports_rate_limit_window(client: HttpClient) -> None:
    async with serve_fake(Settings(webhook_limit=Limit(Model.FIXED, 5, 2.0))) as fake:
        message = await posted(fake, client)
        report = await webhook(fake, client).deliver(edit(message))
        (seen,) = fake.seen()
    assert report.outcomes == (Delivered(message),) * 2
    assert report.rate_headers is not None
    assert (seen.text, seen.edited) == ("closed", True)
    assert seen.embed is not None
    assert [field["value"].split()[1] for field in seen.embed["fields"]] == ["filled"]


async def test_edit_changes_embed_without_mention_or_other_fields(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, username="Bell", mention={"high": ("role:7",)}, silent=("high",))
    await destination.deliver(build("trade", "webhook", LiveMessage(), None, [state(0, "opened", Priority.HIGH)]))
    (before,) = fake.messages
    await destination.deliver(edit(before.message_id, state(1, "closed", Priority.HIGH)))
    (after,) = fake.messages
    changed = {"embeds", "allowed_mentions", "content"}
    assert {key: value for key, value in after.payload.items() if key not in changed} == {
        key: value for key, value in before.payload.items() if key not in changed
    }
    assert (before.payload["content"], before.mentions.roles) == ("❗ opened <@&7>", ("7",))
    assert (after.payload["content"], after.mentions.roles) == ("❗ closed <@&7>", ())


async def test_post_mentions_as_its_most_urgent_state_requires(fake: FakeDiscord, client: HttpClient) -> None:
    states = [state(0, "stopped out", Priority.URGENT), state(1, "booked", Priority.LOW)]
    batch = build("trade", "webhook", LiveMessage(), None, states)
    await webhook(fake, client, mention={"urgent": ("role:7",)}).deliver(batch)
    (seen, shown) = fake.seen()
    assert (seen.mentions.roles, seen.content) == (("7",), "booked <@&7>")
    assert "title" not in (shown.embed or {})


async def test_edit_in_thread_names_the_thread(fake: FakeDiscord, client: HttpClient) -> None:
    destination = at(f"{fake.url().replace('/api/', '/api/v10/')}?thread_id=77", client)
    await destination.deliver(build("trade", "webhook", LiveMessage(), None, [state(0, "opened")]))
    report = await destination.deliver(edit(fake.messages[0].message_id))
    assert report.outcomes == (Delivered(fake.messages[0].message_id),) * 2


async def test_edit_with_invalid_message_id_reaches_no_other_resource(fake: FakeDiscord, client: HttpClient) -> None:
    report = await webhook(fake, client).deliver(edit("../../1?x=#"))
    assert [getattr(outcome, "cause", None) for outcome in report.outcomes] == [Cause.TARGET_GONE] * 2


async def test_edit_of_deleted_message_costs_one_request_and_keeps_webhook(
    fake: FakeDiscord, client: HttpClient
) -> None:
    message = await posted(fake, client)
    fake.delete_message(message)
    report = await webhook(fake, client).deliver(edit(message))
    assert report.outcomes == (repost(404, ": Unknown Message"),) * 2
    fake.delete()
    gone = Refused("404 from Discord: Unknown Webhook", disable=True)
    assert (await webhook(fake, client).deliver(edit(message))).outcomes == (gone,) * 2


# --- a rejected state ----------------------------------------------------------------------------------------------


async def test_rejected_edit_blames_the_shown_state_only(fake: FakeDiscord, client: HttpClient) -> None:
    message = await posted(fake, client)
    fake.script(patched(Poison(text="closed", within="title")))
    report = await webhook(fake, client).deliver(edit(message))
    batch_mate = Deferred("400 from Discord: the state that was to be shown was refused", Cause.BATCH_MATE)
    assert report.outcomes == (batch_mate, Deferred("400 from Discord: title: This is refused.", Cause.FORMAT))


async def test_rejected_edit_of_late_states_blames_each_of_them(fake: FakeDiscord, client: HttpClient) -> None:
    message = await posted(fake, client)
    late = [state(1, "one"), state(2, "two", plain_format=True)]
    batch = build("trade", "webhook", LiveMessage(message), state(9, "shown"), late)
    fake.script(patched(Status(400, code=50035, message="Words")))
    report = await webhook(fake, client).deliver(batch)
    why = "400 from Discord: Words"
    assert report.outcomes == (Deferred(why, Cause.FORMAT), Refused(why))


async def test_rejected_history_does_not_make_shown_state_dead(fake: FakeDiscord, client: HttpClient) -> None:
    message = await posted(fake, client)
    fake.script(
        patched(Poison(text="bad word", within="fields")), patched(Poison(text="bad word", within="description"))
    )
    ended = await drive(webhook(fake, client), LiveMessage(message), [state(1, "a bad word"), state(2, "closed")])
    assert ended == {"a bad word": State.SENT, "closed": State.SENT}
    assert fake.seen()[0].text == "closed"


async def drive(destination: DiscordWebhook, known: LiveMessage, waiting: Sequence[Delivery]) -> dict[str, State]:
    """Deliver until no state is queued."""
    ended: dict[str, State] = {}
    while waiting:
        batch = build("trade", "webhook", known, None, waiting)
        report = await destination.deliver(batch)
        settlements = [
            settle(each, outcome, now=0.0, retry=Retry(), jitter=0.0)
            for each, outcome in zip(batch, report.outcomes, strict=True)
        ]
        known = after(batch, settlements) or (LiveMessage() if is_message_gone(settlements) else known)
        both = list(zip(batch, settlements, strict=True))
        ended |= {each.signal.title: after.state for each, after in both if after.state is not State.QUEUED}
        waiting = [
            msgspec.structs.replace(each, plain_format=after.plain_format, max_batch=after.max_batch, update=None)
            for each, after in both
            if after.state is State.QUEUED
        ]
    return ended


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize(("within", "cured"), [("url", True), ("title", False)])
async def test_last_of_five_states_is_rejected_and_four_are_shown(
    fake: FakeDiscord, client: HttpClient, within: str, cured: bool, named: bool
) -> None:
    message = await posted(fake, client)
    states = [state(n, f"state {n}.", fields={"link": f"https://example.com/{n}."}) for n in range(1, 6)]
    fake.script(patched(Poison(text="5.", within=within, named=named)))
    ended = await drive(webhook(fake, client), LiveMessage(message), states)
    shown = "state 5." if cured else "state 4."
    assert fake.seen()[0].text == shown
    dead = set() if cured else {"state 5."}
    assert {title for title, state in ended.items() if state is State.DEAD} == dead
    assert len(ended) == 5
    assert fake.counts.requests <= 5
