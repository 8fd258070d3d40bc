"""Programs and libraries that post to Discord, with nothing changed but the URL: against the running daemon and the fake Discord."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apprise
import discord
import pytest
import requests
from apprise.plugins.discord import NotifyDiscord
from discord_webhook import DiscordEmbed, DiscordWebhook
from tests.harness import DaemonProcess, FakeProcess, until
from tests.http_client import TOKEN, WEBHOOK, ask, base_url, daemon_with

POSTS = 500
KILLS = 4
FILE = bytes(range(256)) * 8


@pytest.fixture(scope="module")
def discord_fake() -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, discord_fake: FakeProcess) -> Iterator[DaemonProcess]:
    with daemon_with(tmp_path_factory.mktemp("clients"), discord_fake).start() as daemon:
        yield daemon


def arrived(fake: FakeProcess, content: str) -> dict[str, Any]:
    """The payload of the message with this content, once it is there."""
    until(lambda: any(each["payload"].get("content") == content for each in fake.messages()))
    payload: dict[str, Any] = next(
        each["payload"] for each in fake.messages() if each["payload"].get("content") == content
    )
    return payload


def titled(fake: FakeProcess, title: str) -> dict[str, Any]:
    """The embed with this title, once it is there."""
    until(lambda: any(embed.get("title") == title for embed in fake.embeds()))
    return next(embed for embed in fake.embeds() if embed.get("title") == title)


def sums(payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["filename"], each["sha256"]) for each in payload["attachments"]]


# --- libraries --------------------------------------------------------------------------------------------------------


def test_discord_webhook_sends_edits_and_deletes(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    webhook = DiscordWebhook(url=base_url(running) + WEBHOOK, content="by discord-webhook", username="lib")
    embed = DiscordEmbed(title="of discord-webhook", description="d", color="03b2f8")
    embed.add_embed_field(name="n", value="v")
    webhook.add_embed(embed)
    webhook.add_file(file=FILE, filename="a.bin")
    assert webhook.execute().status_code == 200
    payload = arrived(discord_fake, "by discord-webhook")
    assert (payload["username"], titled(discord_fake, "of discord-webhook")["fields"][0]["value"]) == ("lib", "v")
    assert sums(payload) == [("a.bin", hashlib.sha256(FILE).hexdigest())]
    webhook.content = "edited by discord-webhook"
    assert webhook.edit().status_code == 200
    arrived(discord_fake, "edited by discord-webhook")
    assert webhook.delete().status_code == 204
    until(lambda: any(each["deleted"] for each in discord_fake.messages()))


def test_discord_py_sends_fetches_edits_and_deletes(
    running: DaemonProcess, discord_fake: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", f"{base_url(running)}/api/v10")
    number = int(ask(running, "GET", WEBHOOK).json()["id"])
    with requests.Session() as session:
        webhook = discord.SyncWebhook.partial(number, TOKEN, session=session)
        embed = discord.Embed(title="of discord.py", colour=discord.Colour.red())
        files = [discord.File(__file__, filename="one.py"), discord.File(__file__, filename="two.py")]
        message = webhook.send("by discord.py", embed=embed, files=files, username="py", wait=True)
        assert [each["filename"] for each in arrived(discord_fake, "by discord.py")["attachments"]] == [
            "one.py",
            "two.py",
        ]
        assert titled(discord_fake, "of discord.py")["color"] == discord.Colour.red().value
        assert webhook.fetch_message(message.id).content == "by discord.py"
        assert message.edit(content="edited by discord.py").content == "edited by discord.py"
        arrived(discord_fake, "edited by discord.py")
        message.delete()
        with pytest.raises(discord.NotFound) as missing:
            webhook.fetch_message(message.id)
        assert missing.value.code == 10008
        with pytest.raises(discord.HTTPException) as invalid:
            webhook.send("x" * 2001)
        assert (invalid.value.status, invalid.value.code) == (400, 50035)
        with pytest.raises(discord.HTTPException):
            discord.SyncWebhook.partial(number, "wrong", session=session).send("x")


def test_apprise_sends(
    running: DaemonProcess, discord_fake: FakeProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"{base_url(running)}/api/webhooks")
    (tmp_path / "chart.png").write_bytes(FILE)
    notifier = apprise.Apprise()
    assert notifier.add(f"discord://alerts/{TOKEN}/?format=markdown")
    assert notifier.notify(title="of apprise", body="the body", attach=str(tmp_path / "chart.png"))
    assert titled(discord_fake, "of apprise")["description"] == "the body"
    until(lambda: any("chart.png" in json.dumps(each["payload"]) for each in discord_fake.messages()))


# --- what other programs post -------------------------------------------------------------------------------------------

SAMPLES = {
    "shoutrrr": {
        "content": "",
        "embeds": [{"title": "of shoutrrr", "description": "d", "color": 0xFF0000, "footer": {"text": "Error"}}],
        "username": "watchtower",
        "avatar_url": "",
    },
    "uptime-kuma": {
        "username": "Uptime Kuma",
        "embeds": [
            {
                "title": "of uptime-kuma",
                "color": 16711680,
                "timestamp": "2026-01-01 00:00:00.000",
                "fields": [
                    {"name": "Service Name", "value": "web"},
                    {"name": "Error", "value": "timeout of 48000ms exceeded"},
                ],
            }
        ],
    },
    "grafana": {
        "username": "Grafana",
        "content": "",
        "avatar_url": "https://grafana.com/static/assets/img/fav32.png",
        "embeds": [
            {
                "title": "of grafana",
                "type": "rich",
                "url": "http://localhost:3000/alerting/list",
                "color": 14037554,
                "footer": {"text": "Grafana v11.0.0", "icon_url": "https://grafana.com/static/assets/img/fav32.png"},
            }
        ],
    },
    "freqtrade": {
        "embeds": [
            {
                "title": "of freqtrade",
                "color": 0x0000FF,
                "fields": [
                    {"name": "Pair", "value": "BTC/USDT", "inline": True},
                    {"name": "Profit", "value": "2.31 %", "inline": True},
                ],
            }
        ],
    },
}


@pytest.mark.parametrize("program", SAMPLES)
def test_payload_of_a_program_arrives_as_it_is(running: DaemonProcess, discord_fake: FakeProcess, program: str) -> None:
    payload: Any = SAMPLES[program]
    assert requests.post(base_url(running) + WEBHOOK, json=payload, timeout=20).status_code == 204
    found = titled(discord_fake, f"of {program}")
    sent = {key: value for key, value in payload["embeds"][0].items() if key != "fields"}
    assert {key: found[key] for key in sent} == sent
    for given, stored in zip(payload["embeds"][0].get("fields", ()), found.get("fields", ()), strict=True):
        assert (stored["name"], stored["value"]) == (given["name"], given["value"])


# --- many, and killed ---------------------------------------------------------------------------------------------------


def test_500_posts_at_once_are_all_accepted_and_arrive_without_a_429(tmp_path: Path) -> None:
    with (
        FakeProcess("--limits", "0.002") as fake,
        daemon_with(tmp_path, fake, **{"channel-limit": '"30/120ms"', "webhook-limit": '"5/4ms"'}).start() as daemon,
    ):
        url = base_url(daemon) + WEBHOOK

        def post(number: int) -> int:
            answer: requests.Response = DiscordWebhook(url=url, content=f"post {number}").execute()
            return int(answer.status_code)

        with ThreadPoolExecutor(POSTS) as pool:
            statuses = Counter(pool.map(post, range(POSTS)))
        assert statuses == {200: POSTS}
        until(lambda: fake.counts()["accepted"] >= POSTS, 60)
        contents = [message["payload"]["content"] for message in fake.messages()]
        assert sorted(contents) == sorted(f"post {number}" for number in range(POSTS))
        assert daemon.status()["counters"]["rate_limited"] == 0


def test_every_message_that_is_stored_while_the_daemon_stops_was_answered(tmp_path: Path, fake: FakeProcess) -> None:
    daemon = daemon_with(tmp_path, fake).start()
    url = base_url(daemon) + WEBHOOK
    answered: list[str] = []

    def post_until_refused(name: int) -> None:
        with requests.Session() as session:
            for number in range(10_000):
                try:
                    status = session.post(url, json={"content": f"{name} {number}"}, timeout=20).status_code
                except requests.ConnectionError:
                    return
                assert status == 204
                answered.append(f"{name} {number}")

    with ThreadPoolExecutor(8) as pool:
        posting = [pool.submit(post_until_refused, name) for name in range(8)]
        until(lambda: len(answered) > 50)
        assert daemon.stop() == 0
        for each in posting:
            each.result()
    with daemon.start():
        until(lambda: daemon.status()["queue"]["depth"] == 0)
        assert sorted(each["payload"]["content"] for each in fake.messages()) == sorted(answered)


def test_kill_right_after_the_answer_loses_nothing(tmp_path: Path, fake: FakeProcess) -> None:
    answered: list[str] = []
    daemon = daemon_with(tmp_path, fake)
    for kill in range(KILLS):
        daemon.start()
        url = base_url(daemon) + WEBHOOK

        def post(number: int, url: str = url, kill: int = kill) -> str:
            content = f"kill {kill} post {number}"
            assert requests.post(url, params={"wait": "true"}, json={"content": content}, timeout=20).status_code == 200
            return content

        with ThreadPoolExecutor(8) as pool:
            answered += pool.map(post, range(20))
        daemon.kill()
    with daemon.start():
        until(lambda: set(answered) <= {each["payload"].get("content") for each in fake.messages()})
