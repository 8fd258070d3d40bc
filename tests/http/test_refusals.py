"""What the intake refuses, as Discord does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import DaemonProcess, FakeProcess
from tests.http_client import (
    TOKEN,
    WEBHOOK,
    ask,
    multipart,
    post,
)


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
