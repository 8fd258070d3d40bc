"""Messages that a program wrote for Discord itself: what arrives, what shares a message, and what a refusal leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.signals import ACCEPTED, delivery

from tocsin.signals import Signal
from tocsind.attachments import Store
from tocsind.config import DiscordOptions
from tocsind.destinations.discord import DiscordWebhook
from tocsind.destinations.http import HttpClient
from tocsind.destinations.raw_messages import files_of, footprint
from tocsind.policy.backoff import Retry
from tocsind.policy.batch import form
from tocsind.policy.delivery import Delivery, Priority, settle
from tocsind.policy.live_message import LiveMessage
from tocsind.policy.live_update import build
from tocsind.policy.outcomes import Cause, Deferred, Delivered
from tocsind.rendering.discord import Notify, raw
from tocsind.secret import Secret
from tocsind.testing import FakeDiscord, Settings, serve_fake

MENTIONS = {"urgent": ("role:123", "everyone"), "high": ("user:7",)}


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    async with serve_fake(Settings().without_limits()) as fake:
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as client:
        yield client


def webhook(fake: FakeDiscord, client: HttpClient, store: Store | None = None, **options: Any) -> DiscordWebhook:
    url = fake.url().replace("/api/webhooks", "/api/v10/webhooks")
    return DiscordWebhook(DiscordOptions(webhook=Secret(url), **{"deadline": 5.0, **options}), client, store)


def raw_delivery(payload: dict[str, Any], number: int = 1, **fields: Any) -> Delivery:
    priority = Priority[(fields.get("priority") or "normal").upper()]
    signal = Signal(payload=payload, to="signals-premium", **fields)
    return Delivery(number, signal, "signals-premium", priority, ACCEPTED, order=number)


def embeds(*titles: str, **more: Any) -> dict[str, Any]:
    return {"embeds": [{"title": title} for title in titles], **more}


async def test_raw_message_for_a_forum_goes_as_it_is_to_a_channel_that_is_none(
    fake: FakeDiscord, client: HttpClient
) -> None:
    hook = webhook(fake, client)
    message = raw_delivery({"content": "**news**", "thread_name": "t", "applied_tags": ["1"], **embeds("E")})
    (refused,) = (await hook.deliver([message])).outcomes
    assert isinstance(refused, Deferred)
    assert "without thread_name" in refused.reason
    next_ = settle(message, refused, now=0.0, retry=Retry(), jitter=0.0)
    assert (next_.wait, next_.plain_format) == (0.0, False)
    (delivered,) = (await hook.deliver([message])).outcomes
    assert isinstance(delivered, Delivered)
    (found,) = fake.messages
    assert (found.payload["content"], found.payload["embeds"][0]["title"]) == ("**news**", "E")
    assert "thread_name" not in found.payload


async def test_raw_message_arrives_as_it_was_written(fake: FakeDiscord, client: HttpClient) -> None:
    embed = {"title": "CPU", "color": 255, "fields": [{"name": "a", "value": "b", "inline": True}]}
    payload: dict[str, Any] = {
        "content": "**bold** _and_ `code`",
        "embeds": [embed],
        "username": "grafana",
        "avatar_url": "https://grafana.example/logo.png",
        "tts": True,
        "flags": 4,
    }
    report = await webhook(fake, client, username="tocsin").deliver([raw_delivery(payload)])
    stored = fake.messages[0].payload
    assert report.outcomes == (Delivered(fake.messages[0].message_id),)
    assert {key: stored[key] for key in payload} == {**payload, "embeds": [{"type": "rich", **embed}]}


async def test_raw_message_without_name_gets_that_of_the_destination(fake: FakeDiscord, client: HttpClient) -> None:
    await webhook(fake, client, username="tocsin").deliver([raw_delivery({"content": "x"})])
    assert fake.messages[0].payload["username"] == "tocsin"


async def test_raw_message_of_a_silent_priority_is_silent(fake: FakeDiscord, client: HttpClient) -> None:
    await webhook(fake, client, silent=("low",)).deliver([raw_delivery({"content": "x", "flags": 4}, priority="low")])
    assert fake.messages[0].payload["flags"] == 4096 | 4


async def test_raw_message_goes_to_its_thread_and_a_fallback_to_its_own(fake: FakeDiscord, client: HttpClient) -> None:
    threaded = raw_delivery({"content": "x", "thread_id": "77", "with_components": "true"})
    elsewhere = msgspec.structs.replace(threaded, destination="fallback")
    for each in (threaded, elsewhere):
        await webhook(fake, client).deliver([each])
    assert [message.thread_id for message in fake.messages] == ["77", None]
    assert raw.query_of(elsewhere) == {"with_components": "true"}


@pytest.mark.parametrize(
    ("asked", "permitted", "found"),
    [
        (None, (), {"parse": []}),
        (None, ("role:1", "user:2", "here"), {"parse": ["everyone"], "roles": ["1"], "users": ["2"]}),
        ({"parse": ["everyone", "users"]}, ("role:1",), {"parse": []}),
        ({"parse": ["roles"]}, ("role:1", "everyone"), {"parse": [], "roles": ["1"]}),
        ({"roles": ["1", "3"], "users": [2]}, ("role:1", "user:2"), {"parse": [], "roles": ["1"], "users": ["2"]}),
        ({"parse": []}, ("role:1", "everyone"), {"parse": []}),
        ("nonsense", (), {"parse": []}),
    ],
)
def test_raw_message_notifies_whom_both_permit(asked: Any, permitted: tuple[str, ...], found: dict[str, Any]) -> None:
    assert raw.narrowed(asked, permitted) == found


async def test_raw_message_mentions_what_the_destination_permits_for_its_priority(
    fake: FakeDiscord, client: HttpClient
) -> None:
    destination = webhook(fake, client, mention=MENTIONS)
    for priority in ("urgent", "normal"):
        await destination.deliver([raw_delivery({"content": "@everyone <@&123> <@&5>"}, priority=priority)])
    urgent, normal = (message.mentions for message in fake.messages)
    assert (urgent.everyone, urgent.roles) == (True, ("123",))
    assert not normal


# --- sharing a message ----------------------------------------------------------------------------------------------


def shares(*payloads: dict[str, Any], **fields: Any) -> tuple[int, ...]:
    destination = DiscordWebhook(DiscordOptions(), HttpClient())
    batch = [raw_delivery(payload, number, **fields) for number, payload in enumerate(payloads, 1)]
    return form([destination.footprint(each) for each in batch], 10, 6000.0).chosen


def test_plain_embeds_of_one_sender_share_a_message() -> None:
    assert shares(embeds("a"), embeds("b", "c")) == (0, 1)
    assert shares(embeds("a", content="", tts=False, flags=0, components=[]), embeds("b")) == (0, 1)
    assert shares(embeds("a", username="x"), embeds("b", username="y"), embeds("c", username="x")) == (0, 2)
    assert shares(embeds(*"abcdef"), embeds(*"ghijk"), embeds("l")) == (0,)
    assert shares(embeds("x" * 250), *[{"embeds": [{"description": "x" * 3000}]}] * 2) == (0, 1)


@pytest.mark.parametrize(
    "payload",
    [
        {"content": "x"},
        embeds("a", content="x"),
        embeds("a", tts=True),
        embeds("a", flags=4),
        embeds("a", poll={"question": {"text": "?"}}),
        embeds("a", attachments=[{"id": 0, "filename": "a.png"}]),
        {"embeds": [{"title": "a", "url": "https://a.example"}]},
    ],
)
def test_raw_message_with_more_than_plain_embeds_is_alone(payload: dict[str, Any]) -> None:
    assert shares(embeds("b"), payload) == (0,)
    assert shares(payload, embeds("b")) == (0,)


def test_raw_message_that_may_be_edited_is_alone() -> None:
    assert shares(embeds("a"), embeds("b"), key="k") == (0,)


async def test_raw_messages_that_share_are_one_message(fake: FakeDiscord, client: HttpClient) -> None:
    batch = [raw_delivery(embeds("a"), 1), raw_delivery(embeds("b", "c"), 2)]
    report = await webhook(fake, client).deliver(batch)
    assert report.outcomes == (Delivered(fake.messages[0].message_id),) * 2
    assert [embed["title"] for embed in fake.messages[0].payload["embeds"]] == ["a", "b", "c"]


async def test_refused_embed_of_a_shared_message_is_found_and_its_text_is_sent(
    fake: FakeDiscord, client: HttpClient
) -> None:
    destination = webhook(fake, client)
    batch = [raw_delivery(embeds("a", "b"), 1), raw_delivery({"embeds": [{"title": "x" * 300}]}, 2)]
    first, second = (await destination.deliver(batch)).outcomes
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert (first.cause, second.cause) == (Cause.BATCH_MATE, Cause.FORMAT)
    assert "embeds" not in second.reason
    assert "Must be 256 or fewer in length." in second.reason
    repaired = msgspec.structs.replace(batch[1], plain_format=True)
    assert isinstance((await destination.deliver([repaired])).outcomes[0], Delivered)


async def test_refused_part_of_a_raw_message_is_not_left_out_of_others(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client, username="tocsin")
    refused = await destination.deliver([raw_delivery({"content": "x" * 2001, "username": "clyde"})])
    assert isinstance(refused.outcomes[0], Deferred)
    assert refused.outcomes[0].cause is Cause.FORMAT
    await destination.deliver([delivery("ordinary")])
    assert fake.messages[0].payload["username"] == "tocsin"


# --- unchecked payloads: `tocsin.send` takes any --------------------------------------------------------

_names = st.sampled_from(
    [
        "content",
        "embeds",
        "title",
        "fields",
        "author",
        "footer",
        "text",
        "name",
        "value",
        "url",
        "filename",
        "id",
        "parse",
    ]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=12,
)
_parts = (
    "content", "embeds", "username", "avatar_url", "flags", "tts", "allowed_mentions", "components", "poll", "attachments",
    "thread_id", "with_components", "deleted",
)  # fmt: skip


@given(payload=st.fixed_dictionaries({}, optional=dict.fromkeys(_parts, _json)), content=st.binary(max_size=20))
def test_any_payload_is_rendered(payload: dict[str, Any], content: bytes) -> None:
    signal = Signal("T", payload=payload, to="signals-premium")
    each = Delivery(1, signal, "signals-premium", Priority.NORMAL, ACCEPTED)
    notify = Notify(("role:1", "user:2", "everyone"), silent=True)
    if not raw.is_raw(each):
        return
    footprint(each, notify, 0)
    raw.query_of(each)
    raw.owners([each])
    files = files_of(each, content, 0)
    msgspec.json.encode(raw.raw_message([each], "name", notify, [file.name for file in files]))
    msgspec.json.encode(raw.raw_edit(each, notify))


# --- files --------------------------------------------------------------------------------------------------------------


async def test_raw_message_brings_its_files(fake: FakeDiscord, client: HttpClient, tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = raw_delivery({"content": "x", "attachments": [{"id": 0, "filename": "a b.png", "description": "chart"}]})
    two = raw_delivery({"attachments": [{"id": 0, "filename": "q1.txt"}, {"id": 1, "filename": "ü.txt"}]})
    store.save(one.id, b"one")
    store.save(two.id, msgspec.msgpack.encode([b"first", b"second"]))
    destination = webhook(fake, client, store)
    for each in (one, two):
        assert isinstance((await destination.deliver([each])).outcomes[0], Delivered)
    sizes = [[(file["filename"], file["size"]) for file in message.payload["attachments"]] for message in fake.messages]
    assert sizes == [[("a b.png", 3)], [("q1.txt", 5), ("ü.txt", 6)]]


async def test_raw_message_whose_file_is_gone_goes_without_it(
    fake: FakeDiscord, client: HttpClient, tmp_path: Path
) -> None:
    gone = raw_delivery({"content": "x", "attachments": [{"id": 0, "filename": "a.png"}]})
    await webhook(fake, client, Store(tmp_path)).deliver([gone])
    assert "attachments" not in fake.messages[0].payload


# --- edits --------------------------------------------------------------------------------------------------------------


def update(known: str | None, *states: Delivery) -> list[Delivery]:
    return build("k", "about", LiveMessage(known), None, states)


async def test_raw_state_edits_the_message_of_its_key(fake: FakeDiscord, client: HttpClient) -> None:
    destination = webhook(fake, client)
    first = raw_delivery({"content": "before", "embeds": [{"title": "e"}]}, 1, key="k")
    await destination.deliver(update(None, first))
    posted = fake.messages[0].message_id
    later = raw_delivery({"content": "after @everyone", "embeds": []}, 2, key="k")
    report = await destination.deliver(update(posted, later))
    assert report.outcomes == (Delivered(posted),)
    (message,) = fake.messages
    assert (message.payload["content"], message.payload.get("embeds"), message.edits) == ("after @everyone", [], 1)
    assert not message.mentions


async def test_raw_states_that_wait_are_one_post_of_the_last(fake: FakeDiscord, client: HttpClient) -> None:
    states = [raw_delivery({"content": text}, number, key="k") for number, text in enumerate(("one", "two"), 1)]
    await webhook(fake, client).deliver(update(None, *states))
    assert [message.payload["content"] for message in fake.messages] == ["two"]


async def test_deletion_deletes_and_what_was_never_posted_needs_no_request(
    fake: FakeDiscord, client: HttpClient
) -> None:
    destination = webhook(fake, client)
    await destination.deliver(update(None, raw_delivery({"content": "x"}, 1, key="k")))
    posted = fake.messages[0].message_id
    deletion = raw_delivery({"deleted": True}, 2, key="k")
    for known in (posted, posted, None):  # the second time Discord does not know it any more
        assert isinstance((await destination.deliver(update(known, deletion))).outcomes[0], Delivered)
    assert fake.messages[0].deleted
    assert fake.counts.posts == 1


def test_edit_of_components_takes_no_content() -> None:
    edited = raw.raw_edit(raw_delivery({"flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}), Notify())
    assert edited == {
        "allowed_mentions": {"parse": []},
        "flags": 1 << 15,
        "components": [{"type": 10, "content": "x"}],
    }
