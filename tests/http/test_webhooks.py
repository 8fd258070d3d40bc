"""Discord's webhook API of the daemon: a program that posts to Discord changes its URL and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.harness import DaemonProcess, FakeProcess, until
from tests.http_client import (
    TOKEN,
    WEBHOOK,
    arrived,
    ask,
    daemon_with,
    multipart,
    post,
)


def test_message_arrives_as_it_was_posted(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    payload = {
        "content": "as *it* is",
        "username": "grafana",
        "avatar_url": "https://grafana.example/a.png",
        "embeds": [{"title": "CPU", "fields": [{"name": "host", "value": "a", "inline": True}]}],
        "poll": {"question": {"text": "Restart?"}, "answers": [{"poll_media": {"text": "Yes"}}], "duration": 1},
        "unknown": {"is": "ignored"},
    }
    answer = post(running, payload)
    assert (answer.status, answer.body) == (204, b"")
    found = arrived(discord_fake, "as *it* is")["payload"]
    assert (found["username"], found["avatar_url"]) == (payload["username"], payload["avatar_url"])
    assert found["embeds"] == [{"type": "rich", **payload["embeds"][0]}]  # type: ignore[index]
    assert found["poll"] == payload["poll"]


def test_answer_leaves_room_in_the_rate_limit_headers(running: DaemonProcess) -> None:
    headers = post(running, {"content": "room"}).headers
    assert int(headers["X-RateLimit-Remaining"]) > 100
    assert float(headers["X-RateLimit-Reset-After"]) <= 1


def test_names_in_the_query_ignore_case_and_a_slash_may_end_the_path(
    running: DaemonProcess, discord_fake: FakeProcess
) -> None:
    answer = post(running, {"content": "loud"}, "/?WAIT=True&Thread_ID=78&PRIORITY=low")
    assert (answer.status, answer.json()["content"], answer.json()["channel_id"]) == (200, "loud", "78")
    assert arrived(discord_fake, "loud")["thread_id"] == "78"
    assert post(running, {"content": "x"}, "?THREAD_id=abc").status == 400


def test_thread_name_is_left_out_where_the_channel_is_no_forum(
    running: DaemonProcess, discord_fake: FakeProcess
) -> None:
    assert post(running, {"content": "*for* a forum", "thread_name": "t", "embeds": [{"title": "E"}]}).status == 204
    assert arrived(discord_fake, "*for* a forum")["payload"]["embeds"][0]["title"] == "E"


def test_wait_returns_a_message_object(running: DaemonProcess) -> None:
    answer = post(running, {"content": "waited for", "embeds": [{"title": "T"}]}, "?wait=True")
    message = answer.json()
    assert (answer.status, message["content"], message["embeds"][0]["title"]) == (200, "waited for", "T")
    assert message["id"].isdecimal()
    assert message["webhook_id"] == ask(running, "GET", WEBHOOK).json()["id"]


@pytest.mark.parametrize("prefix", ["/api/webhooks", "/api/v10/webhooks", "/api/v9/webhooks"])
def test_path_may_have_a_version_and_a_number_for_the_name(
    running: DaemonProcess, discord_fake: FakeProcess, prefix: str
) -> None:
    number = ask(running, "GET", WEBHOOK).json()["id"]
    for name in ("alerts", number):
        assert ask(running, "POST", f"{prefix}/{name}/{TOKEN}", {"content": f"{prefix} {name}"}).status == 204
        arrived(discord_fake, f"{prefix} {name}")


def test_thread_and_components_travel_in_the_query(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    components = [{"type": 10, "content": "of components"}]
    payload = {"flags": 1 << 15, "components": components, "username": "with components"}
    assert post(running, payload, "?thread_id=77&with_components=true").status == 204
    until(lambda: any(each["payload"].get("username") == "with components" for each in discord_fake.messages()))
    message = next(each for each in discord_fake.messages() if each["payload"].get("username") == "with components")
    assert (message["thread_id"], message["payload"]["components"]) == ("77", components)


@pytest.mark.parametrize(
    ("query", "headers", "priority"),
    [
        ("?priority=urgent", {}, "urgent"),
        ("?priority=CRITICAL", {}, "urgent"),
        ("", {"X-Priority": "high"}, "high"),
        ("?priority=nonsense", {}, "normal"),
        ("", {}, "normal"),
    ],
)
def test_priority_is_named_by_query_or_header(
    running: DaemonProcess, query: str, headers: dict[str, str], priority: str
) -> None:
    content = f"priority {query} {headers}"
    ask(running, "POST", WEBHOOK + query, {"content": content}, **headers)
    listed = json.loads(running.tocsin("queue", "--json", "--state", "sent").stdout)
    until(lambda: priority_of(running, content) is not None)
    assert priority_of(running, content) == priority, listed


def priority_of(daemon: DaemonProcess, title: str) -> str | None:
    found = json.loads(daemon.tocsin("queue", "--json", "--state", "sent").stdout)
    rows = next(value for value in found.values() if isinstance(value, list))
    return next((each["priority"] for each in rows if each.get("title") == title), None)


def test_form_and_multipart_are_read_as_discord_reads_them(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    form = b"content=from+a+form&username=curl"
    assert ask(running, "POST", WEBHOOK, form, Content_Type="application/x-www-form-urlencoded").status == 204
    assert arrived(discord_fake, "from a form")["payload"]["username"] == "curl"
    form = b"payload_json=%7B%22content%22%3A%22from+payload_json%22%7D"
    assert ask(running, "POST", WEBHOOK, form, Content_Type="application/x-www-form-urlencoded").status == 204
    arrived(discord_fake, "from payload_json")
    body, kind = multipart({"content": "from multipart"}, {})
    assert ask(running, "POST", WEBHOOK, body, Content_Type=kind).status == 204
    arrived(discord_fake, "from multipart")


def test_files_arrive_as_they_were_sent(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    sent = {"chart one.png": bytes(range(256)) * 40, "log.txt": b"\r\n--limit-not\r\n\r\n", "leer": b"x"}
    message = {"content": "with files", "attachments": [{"id": 1, "description": "the log"}]}
    files = {f"files[{place}]": (name, content) for place, (name, content) in enumerate(sent.items())}
    body, kind = multipart({"payload_json": json.dumps(message)}, files)
    answer = ask(running, "POST", WEBHOOK + "?wait=true", body, Content_Type=kind)
    assert [each["filename"] for each in answer.json()["attachments"]] == list(sent)
    found = arrived(discord_fake, "with files")["payload"]["attachments"]
    expected = [(name, hashlib.sha256(content).hexdigest()) for name, content in sent.items()]
    assert [(each["filename"], each["sha256"]) for each in found] == expected


def test_file_alone_is_a_message(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    body, kind = multipart({}, {"file": ("alone.png", b"png")})
    assert ask(running, "POST", WEBHOOK, body, Content_Type=kind).status == 204
    until(lambda: any("alone.png" in json.dumps(each["payload"]) for each in discord_fake.messages()))


def test_slack_format_becomes_content_and_embeds(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    attachment = {
        "title": "CPU",
        "title_link": "https://a.example",
        "text": "see <https://b.example|there> &amp; here",
        "color": "danger",
        "fields": [{"title": "host", "value": "a", "short": True}],
        "footer": "v1",
        "ts": 1_767_225_600,
    }
    slack = {"text": "from slack", "username": "s", "icon_url": "https://a.example/i.png", "attachments": [attachment]}
    answer = ask(running, "POST", f"{WEBHOOK}/slack", slack)
    assert (answer.status, answer.body) == (200, b"ok")
    (embed,) = arrived(discord_fake, "from slack")["payload"]["embeds"]
    assert embed["description"] == "see [there](https://b.example) & here"
    assert (embed["title"], embed["url"], embed["color"]) == ("CPU", "https://a.example", 0xA30200)
    assert embed["timestamp"] == "2026-01-01T00:00:00+00:00"


def test_other_destinations_get_the_text(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        payload = {"content": "first line\nsecond", "embeds": [{"title": "T", "url": "https://a.example"}]}
        assert ask(daemon, "POST", f"/api/webhooks/local-file/{TOKEN}", payload).status == 204
        until((tmp_path / "state" / "alerts.jsonl").exists)
        until(lambda: (tmp_path / "state" / "alerts.jsonl").read_text().endswith("\n"))
        line = json.loads((tmp_path / "state" / "alerts.jsonl").read_text())
        assert (line["title"], line["body"], line["link"]) == ("first line", "second\nT", "https://a.example")
