"""Kind "ntfy": sequence ids, old servers, limits in bytes, the limits of a client, and the configuration's mistakes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
import trio
from hypothesis import given
from tests.contracts.kinds import KindFixture, Subject, running
from tests.destinations.signals import deliveries, delivery

from tocsin.signals import Signal
from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.ntfy import DAILY, PER_CLIENT, NtfyOptions
from tocsind.destinations.http import Answer, HttpClient
from tocsind.destinations.ntfy import OLD_SERVER, TABLE, Ntfy, NtfyResponse
from tocsind.destinations.table import judge
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Delivery, Priority, State
from tocsind.policy.outcomes import Cause, Deferred, Reach
from tocsind.rendering import card_of
from tocsind.rendering.ntfy import MAX_JSON, MAX_TEXT, message
from tocsind.secret import Secret
from tocsind.testing import Drop
from tocsind.testing.kinds.ntfy import BURST, TOKEN, TOPIC, NtfyService

FILE = {"kind": "file", "path": "f.jsonl"}


@pytest.fixture
async def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KindFixture]:
    subject = Subject("ntfy")
    async with subject.serving(), running(subject, tmp_path, monkeypatch) as kind:
        yield kind


def options(**keys: Any) -> NtfyOptions:
    return NtfyOptions(**{"topic": "alerts", **keys})


def parsed(**keys: Any) -> Config:
    destinations = {"d": {"kind": "ntfy", "topic": {"env": "TOPIC"}, **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


async def payload_of(*batch: Delivery, **keys: Any) -> dict[str, Any]:
    async with HttpClient() as client:
        outgoing = Ntfy(options(**keys), client).request(batch)
    found: dict[str, Any] = json.loads(b"".join(outgoing.body.parts))
    return found


# --- the message ----------------------------------------------------------------------------------------------------------


@given(each=deliveries)
def test_ntfy_message_fits_in_bytes_and_is_never_empty(each: Delivery) -> None:
    found = message(card_of(each), plain=each.plain_format)
    assert 0 < len(found["message"].encode()) <= MAX_TEXT
    rest = {"topic": "t" * 64, "priority": 5, "sequence_id": "s" * 26}
    assert len(msgspec.json.encode(found | rest)) <= MAX_JSON


def test_message_with_a_title_alone_shows_it_as_text() -> None:
    found = message(card_of(delivery("disk full")))
    assert "title" not in found
    assert found["message"].startswith("disk full\n")


async def test_message_has_priority_link_and_utf8_text() -> None:
    found = await payload_of(delivery("é", body="ü", priority="urgent", link="https://example.com/x"))
    assert (found["priority"], found["click"], found["topic"]) == (5, "https://example.com/x", "alerts")
    assert "ü" in found["message"]
    assert (await payload_of(delivery(priority="low")))["priority"] == 2
    assert (await payload_of(delivery(priority="low"), priority={"low": 1}))["priority"] == 1


async def test_file_that_came_along_is_named_as_not_attached() -> None:
    found = await payload_of(delivery("x", attach="chart.png"))
    assert "chart.png is not attached: no files are sent here" in found["message"]


async def test_rejected_message_is_sent_once_more_without_its_link() -> None:
    assert "click" not in await payload_of(delivery("x", body="y", link="https://example.com/x", plain=True))


async def test_dry_run_masks_a_secret_topic_and_shows_any_other() -> None:
    async with HttpClient() as client:
        masked = Ntfy(options(topic=Secret("hidden-topic")), client).preview([delivery()])
        shown = Ntfy(options(), client).preview([delivery()])
    assert "hidden-topic" not in str(masked)
    assert shown["payload"]["topic"] == "alerts"
    assert shown["limits"][0]["most"] == MAX_TEXT


# --- sequences ------------------------------------------------------------------------------------------------------------


async def test_states_of_a_key_are_one_message_which_an_urgent_state_edits_too(kind: KindFixture) -> None:
    for title, priority in (("opened", Priority.NORMAL), ("stopped out", Priority.URGENT)):
        numbers = kind.owe(Signal(title, "body", key="trade"), priority=priority)
        await kind.until_settled(*numbers)
    (shown,) = kind.subject.fake.saved
    assert (shown.title, shown.edits) == ("🚨 stopped out", 1)
    assert "opened" in shown.text, "the history"
    assert shown.body["priority"] == 5


async def test_request_without_an_answer_is_in_doubt_until_the_server_is_known_to_recognize_it(
    kind: KindFixture,
) -> None:
    fake = kind.subject.fake
    fake.script(Drop(saved=True))
    for title in ("first", "second"):
        await kind.until_settled(*kind.owe(Signal(title, "body")))
        fake.script(Drop(saved=True))
    first, second = fake.saved
    assert (first.title, first.edits) == ("first · possible duplicate", 1)
    assert (second.title, second.edits) == ("second", 1)


async def test_old_server_gets_each_state_as_a_message_and_that_is_said(kind: KindFixture) -> None:
    assert isinstance(kind.subject.fake, NtfyService)
    kind.subject.fake.is_old = True
    for title in ("opened", "closed"):
        await kind.until_settled(*kind.owe(Signal(title, "body", key="trade")))
    assert kind.subject.titles() == ["opened", "closed"]
    assert kind.lane.feedback.note == OLD_SERVER
    assert not kind.lane.destination.repeatable


# --- limits ---------------------------------------------------------------------------------------------------------------


async def test_limit_of_the_server_closes_all_its_topics(kind: KindFixture) -> None:
    fake = kind.subject.fake
    assert isinstance(fake, NtfyService)
    fake.limited = True
    async with HttpClient() as client:
        direct = Ntfy(NtfyOptions(server=fake.url, topic=TOPIC, token=Secret(TOKEN)), client)
        for _ in range(BURST):
            await direct.deliver([delivery("x")])
        (outcome,) = (await direct.deliver([delivery("x")])).outcomes
    assert isinstance(outcome, Deferred)
    assert (outcome.cause, outcome.reach, outcome.wait) == (Cause.LIMITED, Reach.KIND, 5.0)
    (number,) = kind.owe("held")
    with trio.move_on_after(0.3):
        await kind.until_settled(number)
    assert kind.store.state(number) is State.QUEUED
    assert kind.lane.limiter.address.blocked_because == "429 from ntfy: 5 s"


async def test_ntfy_doubles_the_wait_with_each_refusal_in_a_row(kind: KindFixture) -> None:
    fake = kind.subject.fake
    assert isinstance(fake, NtfyService)
    async with HttpClient() as client:
        direct = Ntfy(NtfyOptions(server=fake.url, topic=TOPIC, token=Secret(TOKEN)), client)
        fake.limited = True
        for _ in range(BURST):
            await direct.deliver([delivery("x")])
        assert [await waited(direct) for _ in range(6)] == [5.0, 10.0, 20.0, 40.0, 80.0, 80.0]
        fake.limited = False
        assert await waited(direct) is None
        fake.limited = True
        assert await waited(direct) == 5.0


async def waited(destination: Ntfy) -> float | None:
    (outcome,) = (await destination.deliver([delivery("x")])).outcomes
    return outcome.wait if isinstance(outcome, Deferred) else None


@pytest.mark.parametrize(
    ("headers", "received", "wait"),
    [
        ({"date": "Mon, 30 Nov 2026 23:00:00 GMT"}, None, 3605.0),
        ({}, 1_767_225_600.0 + 6 * 3600, 18 * 3600 + 5.0),
        ({"retry-after": "30"}, 1_767_225_600.0, 30.0),
        ({}, None, None),
    ],
)
def test_messages_of_a_day_return_at_midnight_utc(
    headers: dict[str, str], received: float | None, wait: float | None
) -> None:
    response = NtfyResponse(Answer(429, headers, b'{"code": 42908, "http": 429, "error": "limit reached"}'))
    response.received = received
    outcome = judge(response, TABLE)
    assert outcome == Deferred(
        "429 from ntfy: the messages of this day are used up, until 00:00 UTC", Cause.LIMITED, Reach.KIND, wait
    )


def test_pace_is_that_of_a_client_and_on_ntfy_sh_of_a_day_too() -> None:
    assert options().pace.channel == (DAILY, PER_CLIENT)
    assert options(quota=Rate(2500, 86400.0)).pace.channel == (Rate(2500, 86400.0), PER_CLIENT)
    assert options(server="https://ntfy.example").pace.channel == PER_CLIENT
    assert options(token=Secret("tk_0123456789")).account != options().account
    assert "tk_" not in options(token=Secret("tk_0123456789")).account


# --- the configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"topic": "with spaces"}, "no topic"),
        ({"topic": "ntfy.sh/topic"}, "is `server`"),
        ({"topic": "x" * 65}, "no topic"),
        ({"topic": {"env": "BAD"}}, "BAD holds no topic"),
        ({"token": {"env": "BAD2"}}, "begins with tk_"),
        ({"server": "http://ntfy.example"}, "must be https"),
        ({"server": "https://ntfy.example/?x=1"}, "query"),
        ({"priority": {"urgent": 6}}, "1 (lowest) to 5"),
        ({"priority": {"most": 5}}, "urgent"),
        ({"quota": "many"}, "no rate"),
    ],
)
def test_mistake_is_named_with_its_place(keys: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC", "t")
    monkeypatch.setenv("BAD", "no/topic-9417")
    monkeypatch.setenv("BAD2", "secret-9417")
    with pytest.raises(ConfigurationInvalid) as caught:
        parsed(**keys)
    assert said in str(caught.value)
    assert "9417" not in str(caught.value)


def test_open_topic_on_ntfy_sh_is_warned_about() -> None:
    (warning,) = parsed(topic="alerts").warnings
    assert "is a password" in warning
    assert parsed(topic="alerts", server="https://ntfy.example").warnings == ()


def test_open_topic_is_not_masked_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPIC", "t")
    assert parsed(topic="backup-alerts").destinations["d"].options == NtfyOptions(topic="backup-alerts")
