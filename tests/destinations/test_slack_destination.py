"""Kind "slack": both ways, what wakes readers, edits, and the configuration's mistakes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from tests.destinations.signals import delivery

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.slack import SlackOptions
from tocsind.destinations.http import HttpClient
from tocsind.destinations.slack import SlackBot, SlackWebhook
from tocsind.policy.delivery import Delivery, LiveUpdate
from tocsind.policy.live_message import Line, LiveMessage
from tocsind.policy.outcomes import Cause, Deferred, Delivered, Refused
from tocsind.rendering.card import card_of
from tocsind.rendering.slack import MAX_CARD, message, size
from tocsind.secret import Secret
from tocsind.testing.behaviours import Status
from tocsind.testing.kinds.slack import BOT, CHANNEL, PATH, SlackBotService, SlackWebhookService, problem_of
from tocsind.testing.service import serving

FILE = {"kind": "file", "path": "f.jsonl"}
HOOK = "https://hooks.slack.com/services/T0/B0/secretsecretsecret"
URGENT = {"urgent": ("channel", "U0123ABCD", "S0123ABCD")}


def bot(fake: SlackBotService, client: HttpClient, **options: Any) -> SlackBot:
    return SlackBot(SlackOptions(None, Secret(BOT), CHANNEL, f"{fake.url}/api", **options), client)


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "slack", **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


def state(title: str, edits: str | None) -> Delivery:
    shown = delivery(title, key="k")
    line = Line(1, shown.accepted, title)
    return msgspec.structs.replace(shown, update=LiveUpdate("k", "x", edits, LiveMessage(edits, (line,)), shown))


async def test_bot_edits_its_message_by_channel_and_time() -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        destination = bot(fake, client)
        (posted,) = (await destination.deliver([state("opened", None)])).outcomes
        assert posted == Delivered(f"{CHANNEL}:1767225600.000001")
        (edited,) = (await destination.deliver([state("closed", posted.message)])).outcomes
    assert edited == posted
    assert [(each.title, each.edits) for each in fake.saved] == [("closed", 1)]


@pytest.mark.parametrize("word", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_message_that_cannot_be_edited_is_posted_again(word: str) -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        fake.script(Status(status=200, text=word))
        (outcome,) = (await bot(fake, client).deliver([state("closed", f"{CHANNEL}:1.2")])).outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.cause is Cause.TARGET_GONE


async def test_slack_post_mentions_only_whom_the_configuration_names() -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        destination = bot(fake, client, mention=URGENT)
        await destination.deliver([delivery("<!channel> <@U1> @here", priority="urgent", body="<!everyone>")])
        await destination.deliver([delivery("calm", priority="low")])
        await destination.deliver([state("closed", f"{CHANNEL}:1767225600.000001")])
    called = [
        block["text"]["text"] for each in fake.saved for block in each.body["blocks"] if block["type"] == "section"
    ]
    assert fake.woken == []
    assert called == []  # the edit has replaced the post that had them
    urgent = destination.request([delivery("x", priority="urgent")]).payload
    assert urgent["blocks"][0]["text"]["text"] == "<!channel> <@U0123ABCD> <!subteam^S0123ABCD>"
    assert (urgent["parse"], urgent["link_names"]) == ("none", False)


@pytest.mark.parametrize(
    ("status", "word", "disables", "strikes"),
    [
        (200, "invalid_auth", True, False),
        (200, "token_revoked", True, False),
        (200, "channel_not_found", False, True),
        (200, "not_in_channel", False, True),
        (200, "some_new_error", False, False),
    ],
)
async def test_error_with_status_200_is_a_refusal(status: int, word: str, disables: bool, strikes: bool) -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        fake.script(Status(status=status, text=word))
        (outcome,) = (await bot(fake, client).deliver([delivery("x")])).outcomes
    assert isinstance(outcome, Refused)
    assert (outcome.disable, outcome.strike) == (disables, strikes)


async def test_error_that_may_have_saved_the_message_is_ambiguous() -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        fake.script(Status(status=200, text="internal_error"))
        (outcome,) = (await bot(fake, client).deliver([delivery("x")])).outcomes
    assert isinstance(outcome, Deferred)
    assert outcome.ambiguous


async def test_webhook_is_understood_by_its_words() -> None:
    async with serving(SlackWebhookService()) as fake, HttpClient() as client:
        destination = SlackWebhook(SlackOptions(Secret(f"{fake.url}{PATH}")), client)
        assert (await destination.deliver([delivery("one"), delivery("two")])).outcomes == (Delivered(),) * 2
        gone = SlackWebhook(SlackOptions(Secret(f"{fake.url}/services/T/B/other-secret-0000")), client)
        (outcome,) = (await gone.deliver([delivery("x")])).outcomes
    assert [("one" in each.title, "two" in each.text) for each in fake.saved] == [(True, True)]
    assert isinstance(outcome, Refused)
    assert outcome.disable


async def test_discovery_disables_an_invalid_token() -> None:
    async with serving(SlackBotService()) as fake, HttpClient() as client:
        assert (await bot(fake, client).discover()).answered
        wrong = SlackBot(SlackOptions(None, Secret("xoxb-wrong-wrong"), CHANNEL, f"{fake.url}/api"), client)
        problem = (await wrong.discover()).problem
    assert isinstance(problem, Refused)
    assert problem.disable


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({}, "d", "needs either `webhook`, or `bot-token` and `channel`"),
        ({"webhook": HOOK, "bot-token": BOT}, "d", "needs either"),
        ({"bot-token": BOT}, "d.channel", "a bot needs one"),
        ({"bot-token": "not-a-token", "channel": "C0123ABCD"}, "d.bot-token", "begins with xoxb-"),
        ({"bot-token": BOT, "channel": "my channel"}, "d.channel", "is no channel"),
        ({"webhook": "https://hooks.slack.com/triggers/T0/1/abc"}, "d.webhook", "starts a workflow"),
        ({"webhook": "http://hooks.slack.com/services/T0/B0/x"}, "d.webhook", "must be https"),
        ({"webhook": HOOK, "channel": "C0123ABCD"}, "d.channel", "is for a bot"),
        ({"webhook": HOOK, "mention": {"urgent": "alice"}}, "d.mention.urgent", "is no mention"),
    ],
)
def test_configuration_mistake_names_its_place(keys: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        configured(**keys)
    assert f"destinations.{place}" in str(caught.value)
    assert words in str(caught.value)


_TEXT = st.text(max_size=300) | st.text(alphabet="🙂<>&\n a*`", max_size=5000)


@given(title=_TEXT, body=_TEXT, fields=st.dictionaries(_TEXT, _TEXT, max_size=25), code=st.booleans())
def test_slack_message_of_any_signal_is_accepted(title: str, body: str, fields: dict[str, str], code: bool) -> None:
    card = card_of(delivery(f"t{title[:200]}", body=body[:4096], fields=fields, code=code))
    made = message([card])
    assert problem_of(made) is None
    assert size(card) <= MAX_CARD
    assert "<" not in made["text"]


def test_channel_that_is_given_by_name_is_warned_about() -> None:
    (warning,) = configured(**{"bot-token": "xoxb-123-abcdefghij", "channel": "#alerts"}).warnings[-1:]
    assert "channel" in warning
    assert "is a name, and alerts stop when the channel is renamed" in warning
    assert not any(
        "a name" in each for each in configured(**{"bot-token": "xoxb-123-abcdefghij", "channel": "C0123ABCD"}).warnings
    )
