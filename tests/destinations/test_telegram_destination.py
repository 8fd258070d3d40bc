"""Kind "telegram": batches, edits, groups that move, silence, and the configuration's mistakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import tomli_w
from tests.destinations.signals import delivery

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.telegram import TelegramOptions
from tocsind.destinations.http import HttpClient
from tocsind.destinations.telegram import Telegram
from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Refused
from tocsind.secret import Secret
from tocsind.testing.behaviours import Status
from tocsind.testing.kinds.telegram import BOT, CHAT, TelegramService
from tocsind.testing.service import serving

FILE = {"kind": "file", "path": "f.jsonl"}


def state(title: str, edits: str | None) -> Delivery:
    """A state of a live message, as a lane delivers it."""
    shown = delivery(title, key="k")
    line = Line(1, shown.accepted, title)
    return msgspec.structs.replace(shown, update=LiveUpdate("k", "x", edits, LiveMessage(edits, (line,)), shown))


@asynccontextmanager
async def telegram(**options: Any) -> AsyncIterator[tuple[TelegramService, Telegram]]:
    async with serving(TelegramService()) as fake, HttpClient() as client:
        found = TelegramOptions(**{"bot_token": Secret(BOT), "chat_id": str(CHAT), "api_url": fake.url, **options})
        yield fake, Telegram(found, client)


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "telegram", "bot-token": BOT, "chat-id": CHAT, **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


async def test_batch_is_one_message_with_a_number_as_proof() -> None:
    async with telegram() as (fake, destination):
        report = await destination.deliver([delivery("one"), delivery("two")])
    assert report.outcomes == (Delivered(f"{CHAT}:1"),) * 2
    (message,) = fake.saved
    assert "one" in message.title
    assert "two" in message.text


async def test_live_message_is_edited_and_edit_without_change_is_delivered() -> None:
    async with telegram() as (fake, destination):
        await destination.deliver([state("opened", None)])
        edit = state("closed", f"{CHAT}:1")
        assert (await destination.deliver([edit])).outcomes == (Delivered(f"{CHAT}:1"),)
        assert (await destination.deliver([edit])).outcomes == (Delivered(f"{CHAT}:1"),)
    assert [(message.title, message.edits) for message in fake.saved] == [("closed", 1)]


async def test_edit_of_a_deleted_message_is_posted_again() -> None:
    async with telegram() as (_, destination):
        report = await destination.deliver([state("closed", f"{CHAT}:99")])
    (outcome,) = report.outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.cause is Cause.TARGET_GONE


async def test_upgraded_group_gets_messages_under_its_new_id_and_operator_is_told() -> None:
    async with telegram() as (fake, destination):
        fake.migrate_to = -1009999999999
        first = await destination.deliver([delivery("moved")])
        second = await destination.deliver([delivery("moved")])
    assert isinstance(first.outcomes[0], Deferred)
    assert second.outcomes == (Delivered("-1009999999999:1"),)
    assert "-1009999999999" in str(first.note)


async def test_group_that_is_said_to_have_moved_to_its_own_id_is_a_strike() -> None:
    async with telegram() as (fake, destination):
        fake.migrate_to = fake.chat
        report = await destination.deliver([delivery("moved")])
    (outcome,) = report.outcomes
    assert isinstance(outcome, Refused)
    assert outcome.strike


async def test_edit_of_a_message_from_before_the_upgrade_is_posted_again_and_changes_no_other() -> None:
    async with telegram() as (fake, destination):
        fake.migrate_to = -1009999999999
        await destination.deliver([delivery("moved")])
        await destination.deliver([delivery("other")])
        (outcome,) = (await destination.deliver([state("closed", f"{CHAT}:1")])).outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.cause is Cause.TARGET_GONE
    assert [each.title for each in fake.saved] == ["other"]


async def test_low_signal_makes_no_sound_and_thread_is_named() -> None:
    async with telegram(thread_id=7) as (fake, destination):
        await destination.deliver([delivery("quiet", priority="low")])
        await destination.deliver([delivery("loud", priority="urgent")])
    assert fake.silent == ["1"]
    assert [message.body["message_thread_id"] for message in fake.saved] == [7, 7]


@pytest.mark.parametrize(
    ("status", "text", "disables", "strikes"),
    [
        (401, "Unauthorized", True, False),
        (404, "Not Found", True, False),
        (403, "Forbidden: bot was kicked from the group chat", True, False),
        (403, "Forbidden: bot was blocked by the user", True, False),
        (400, "Bad Request: chat not found", False, True),
        (400, "Bad Request: not enough rights to send text messages to the chat", False, True),
        (400, "Bad Request: message thread not found", False, True),
    ],
)
async def test_refusal_disables_at_once_or_counts_as_a_strike(
    status: int, text: str, disables: bool, strikes: bool
) -> None:
    async with telegram() as (fake, destination):
        fake.script(Status(status=status, text=text))
        (outcome,) = (await destination.deliver([delivery("x")])).outcomes
    assert isinstance(outcome, Refused)
    assert (outcome.disable, outcome.strike) == (disables, strikes)


async def test_discovery_finds_the_chat_or_says_what_is_wrong() -> None:
    async with telegram() as (_, destination):
        found = await destination.discover()
    assert (found.channel, found.answered, found.problem) == (str(CHAT), True, None)
    async with telegram(bot_token=Secret(BOT[:-1] + "x")) as (_, destination):
        found = await destination.discover()
    assert isinstance(found.problem, Refused)
    assert found.problem.disable


async def test_rate_limit_waits_as_long_as_parameters_say() -> None:
    async with serving(TelegramService(per_minute=1)) as fake, HttpClient() as client:
        destination = Telegram(TelegramOptions(Secret(BOT), str(CHAT), api_url=fake.url), client)
        await destination.deliver([delivery("one")])
        (outcome,) = (await destination.deliver([delivery("two")])).outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.cause is Cause.LIMITED
    assert 55 <= (outcome.wait or 0) <= 60


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"chat-id": 1001234567890}, "1001234567890 has no minus: the ids of groups and channels begin with -100"),
        ({"chat-id": "my group"}, "is no chat id"),
        ({"chat-id": True}, "must be a number"),
        ({"bot-token": "not-a-token"}, "is no bot token; BotFather's have up to 12 digits, a colon and 35 characters"),
        ({"api-url": "http://example.com"}, "must be https"),
        ({"silent": ["quiet"]}, "priority"),
    ],
)
def test_configuration_mistake_names_its_place(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        configured(**keys)
    (key,) = keys
    assert f"destinations.d.{key}" in str(caught.value)
    assert words in str(caught.value)


def test_configuration_reads_ids_and_names() -> None:
    assert configured().destinations["d"].options.identity.count(str(CHAT)) == 1
    assert configured(**{"chat-id": "@alerts"}).destinations["d"].disabled is None


def test_telegram_chats_of_one_bot_share_its_limit() -> None:
    first, second = TelegramOptions(Secret(BOT), "-1"), TelegramOptions(Secret(BOT), "-2")
    assert first.endpoint == second.endpoint
    assert first.identity != second.identity
