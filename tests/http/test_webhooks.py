"""Discord's webhook API of the daemon: a program that posts to Discord changes its URL and nothing else."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import DaemonProcess, FakeProcess, discord, file, need, route, until
from tests.http_client import LISTEN, TOKEN, WEBHOOK, Answer, address, ask, configuration, daemon_with, multipart


@pytest.fixture(scope="module")
def discord_fake() -> Iterator[FakeProcess]:
    with FakeProcess("--limits", "none") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, discord_fake: FakeProcess) -> Iterator[DaemonProcess]:
    with daemon_with(tmp_path_factory.mktemp("webhooks"), discord_fake).start() as daemon:
        yield daemon


def post(daemon: DaemonProcess, payload: object, query: str = "") -> Answer:
    return ask(daemon, "POST", WEBHOOK + query, payload)


def contents(fake: FakeProcess) -> list[str]:
    return [message["payload"].get("content", "") for message in fake.messages() if not message["deleted"]]


def arrived(fake: FakeProcess, content: str) -> dict[str, Any]:
    """The message with this content, once it is there."""
    until(lambda: content in contents(fake))
    return next(each for each in fake.messages() if each["payload"].get("content") == content)


# --- new messages -----------------------------------------------------------------------------------------------------


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


# --- messages that are there --------------------------------------------------------------------------------------------


def test_edit_before_sending_changes_what_is_sent(tmp_path: Path, fake: FakeProcess) -> None:
    fake.hold()
    with daemon_with(tmp_path, fake).start() as daemon:
        post(daemon, {"content": "in flight"})
        fake.await_held()
        ids = [
            post(daemon, {"content": f"waits {n}", "embeds": [{"title": "E"}]}, "?wait=true").json()["id"]
            for n in (1, 2)
        ]
        edit = ask(daemon, "PATCH", f"{WEBHOOK}/messages/{ids[0]}", {"content": "edited"})
        assert (edit.status, edit.json()["content"], len(edit.json()["embeds"])) == (200, "edited", 1)
        assert ask(daemon, "DELETE", f"{WEBHOOK}/messages/{ids[1]}").status == 204
        post(daemon, {"content": "last"})
        fake.release()
        arrived(fake, "last")
    assert contents(fake) == ["in flight", "edited", "last"]
    assert fake.counts()["edited"] == 0


def test_edit_and_deletion_reach_a_message_that_was_sent(running: DaemonProcess, discord_fake: FakeProcess) -> None:
    id_ = post(running, {"content": "to be edited", "embeds": [{"title": "stays"}]}, "?wait=true").json()["id"]
    there = arrived(discord_fake, "to be edited")
    assert ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "edited there"}).status == 200
    found = arrived(discord_fake, "edited there")
    assert (found["message_id"], found["payload"]["embeds"][0]["title"]) == (there["message_id"], "stays")
    assert ask(running, "GET", f"{WEBHOOK}/messages/{id_}").json()["content"] == "edited there"
    assert ask(running, "DELETE", f"{WEBHOOK}/messages/{id_}").status == 204
    until(lambda: "edited there" not in contents(discord_fake))
    for method in ("GET", "PATCH", "DELETE"):
        gone = ask(running, method, f"{WEBHOOK}/messages/{id_}", {"content": "x"} if method == "PATCH" else None)
        assert (gone.status, gone.json()["code"]) == (404, 10008)


def test_edit_survives_a_restart(tmp_path: Path, fake: FakeProcess) -> None:
    daemon = daemon_with(tmp_path, fake)
    with daemon.start():
        id_ = post(daemon, {"content": "before the restart"}, "?wait=true").json()["id"]
        arrived(fake, "before the restart")
    with daemon.start():
        assert ask(daemon, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "after it"}).status == 200
        arrived(fake, "after it")
    assert len(contents(fake)) == 1


def test_edit_must_leave_something(running: DaemonProcess) -> None:
    id_ = post(running, {"content": "something"}, "?wait=true").json()["id"]
    refused = ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": None})
    assert (refused.status, refused.json()["code"]) == (400, 50006)
    too_long = ask(running, "PATCH", f"{WEBHOOK}/messages/{id_}", {"content": "x" * 2001})
    assert list(too_long.json()["errors"]) == ["content"]
    assert ask(running, "GET", f"{WEBHOOK}/messages/{id_}").json()["content"] == "something"


def test_message_of_another_destination_is_unknown(running: DaemonProcess) -> None:
    id_ = post(running, {"content": "of alerts"}, "?wait=true").json()["id"]
    other = f"/api/webhooks/local-file/{TOKEN}/messages/"
    for path in (
        f"{other}{id_}",
        f"{WEBHOOK}/messages/1",
        f"{WEBHOOK}/messages/@original",
        f"{WEBHOOK}/messages/{'9' * 40}",
    ):
        assert ask(running, "GET", path).json()["code"] == 10008


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (WEBHOOK, {}, 400, 50006),
        (WEBHOOK, {"username": "only"}, 400, 50006),
        (WEBHOOK, b"{", 400, 50109),
        (WEBHOOK, [], 400, 50035),
        (WEBHOOK, {"content": "x" * 2001}, 400, 50035),
        (WEBHOOK + "?thread_id=abc", {"content": "x"}, 400, 50035),
        ("/api/webhooks/alerts/wrong", {"content": "x"}, 401, 50027),
        (f"/api/webhooks/nowhere/{TOKEN}", {"content": "x"}, 404, 10015),
        (WEBHOOK, b"x" * (25 * 2**20 + 1), 413, 40005),
        (WEBHOOK, {"embeds": [{"title": "x", "url": "https://a.example/" + "y" * 2000}] * 40}, 400, 50035),
    ],
)
def test_refusal_has_discords_shape(running: DaemonProcess, path: str, body: object, status: int, code: int) -> None:
    answer = ask(running, "POST", path, body)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"


def test_refused_form_names_the_place(running: DaemonProcess) -> None:
    answer = post(running, {"embeds": [{"title": "ok"}, {"fields": [{"name": "x" * 257, "value": "v"}]}]})
    fault = answer.json()["errors"]["embeds"]["1"]["fields"]["0"]["name"]["_errors"][0]
    assert fault == {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}


def test_file_that_is_too_large_is_refused(running: DaemonProcess) -> None:
    body, kind = multipart({"content": "x"}, {"file": ("big", b"x" * (10 * 2**20 + 1))})
    assert ask(running, "POST", WEBHOOK, body, Content_Type=kind).status == 413


def test_token_for_one_destination_reaches_no_other(tmp_path: Path, fake: FakeProcess) -> None:
    config = configuration(fake).replace("token =", 'tokens = { local-file = "token-of-the-file" }\ntoken =')
    with DaemonProcess(tmp_path, config).start() as daemon:
        for name, status in (("local-file", 204), ("alerts", 401), ("nowhere", 401)):
            path = f"/api/webhooks/{name}/token-of-the-file"
            assert ask(daemon, "POST", path, {"content": "x"}).status == status
        assert "token-of-the-file" not in daemon.log.read_text()


def test_refused_message_and_wrong_token_are_counted_and_logged(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        for _ in range(3):
            assert ask(daemon, "POST", "/api/webhooks/alerts/wrong", {"content": "x"}).status == 401
        assert post(daemon, {"content": "x" * 2001}).status == 400
        refused = daemon.wait_for("signal-refused")
        assert refused["reason"] == "a message for alerts: Invalid Form Body: content: Must be 2000 or fewer in length"
        closed = daemon.wait_for("connection-refused")
        assert (closed["kind"], closed["reason"]) == (
            "http-401",
            "an HTTP request was refused: its token is missing or wrong",
        )
        assert ask(daemon, "POST", f"/api/webhooks/renamed/{TOKEN}", {"content": "x"}).status == 404
        counters = daemon.status()["counters"]
        assert (counters["signals_refused"], counters["connections_refused"]) == (2, 3)
        assert daemon.log.read_text().count("connection-refused") == 1


def test_reload_changes_the_token(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake).start() as daemon:
        place = address(daemon)
        daemon.configure(configuration(fake).replace(TOKEN, "another-token"))
        daemon.reload()
        daemon.wait_for("reloaded")
        assert address(daemon) == place
        assert post(daemon, {"content": "x"}).status == 401
        assert ask(daemon, "POST", "/api/webhooks/alerts/another-token", {"content": "x"}).status == 204


def test_unix_socket_takes_messages_whatever_the_host_header(tmp_path: Path, fake: FakeProcess) -> None:
    place = tmp_path / "http.sock"
    config = configuration(fake).replace("127.0.0.1:0", str(place))
    with DaemonProcess(tmp_path, config).start() as daemon:
        daemon.wait_for("http-opened")
        command = [need("curl"), "--silent", "--write-out", "%{http_code}", "--unix-socket", str(place)]
        for host in ("localhost", "whatever.example"):
            url = f"http://{host}{WEBHOOK}"
            done = subprocess.run(
                [*command, url, "--json", '{"content": "over a socket"}'],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
            assert done.stdout == "204"
        arrived(fake, "over a socket")


def test_full_disk_is_a_503_and_no_429(tmp_path: Path, fake: FakeProcess) -> None:
    with daemon_with(tmp_path, fake, '[daemon]\nreserve = "999999TB"\n').start() as daemon:
        answer = post(daemon, {"content": "x"})
        assert (answer.status, answer.json()["code"], "Retry-After" in answer.headers) == (503, 0, True)
        assert "kept in reserve" in answer.json()["message"]


def test_without_token_there_is_no_intake(tmp_path: Path, fake: FakeProcess) -> None:
    bare = LISTEN.splitlines()
    config = "\n".join(bare[:2]) + "\n" + discord("alerts", fake.webhooks[0]["url"]) + file() + route("alerts")
    with DaemonProcess(tmp_path, config).start() as daemon:
        assert post(daemon, {"content": "x"}).status == 404
        assert ask(daemon, "GET", "/healthz").status == 200


def test_log_names_no_token(running: DaemonProcess) -> None:
    post(running, {"content": "logged"})
    assert TOKEN not in running.log.read_text()


# --- the same validation as Discord's -----------------------------------------------------------------------------------

_text = st.one_of(
    st.text(max_size=20), st.sampled_from(["x" * 81, "x" * 257, "x" * 1025, "x" * 2001, "x" * 4097, "discord", " "])
)
_value = st.one_of(_text, st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.lists(_text, max_size=2))
_field = st.fixed_dictionaries({}, optional={"name": _value, "value": _value, "inline": _value})
_embed = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("title", "description", "url", "timestamp", "color"), _value),
        **dict.fromkeys(
            ("footer", "author", "image"),
            st.one_of(_value, st.dictionaries(st.sampled_from(["text", "name", "url"]), _value)),
        ),
        "fields": st.one_of(_value, st.lists(st.one_of(_field, _value), max_size=27)),
    },
)
_message = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("content", "username", "avatar_url", "tts", "flags", "poll"), _value),
        "embeds": st.one_of(_value, st.lists(st.one_of(_embed, _value), max_size=11)),
        "allowed_mentions": st.one_of(_value, st.dictionaries(st.sampled_from(["parse", "roles", "users"]), _value)),
    },
)


@settings(max_examples=60)
@given(message=st.one_of(_message, _value))
def test_intake_refuses_what_discord_refuses(
    running: DaemonProcess, discord_fake: FakeProcess, message: object
) -> None:
    try:
        body = json.dumps(message, allow_nan=False).encode()
    except ValueError:
        body = b'{"content": NaN}'
    path = "/" + discord_fake.webhooks[0]["url"].split("/", 3)[3] + "?wait=true"
    theirs = ask(("127.0.0.1", discord_fake.port), "POST", path, body, User_Agent="test")
    ours = ask(running, "POST", WEBHOOK + "?wait=true", body)
    assert ours.status == theirs.status
    if ours.status != 200:
        assert ours.json() == theirs.json()
