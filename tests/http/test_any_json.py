"""Any JSON at each route: an answer comes, the daemon lives, and what is stored is a signal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import FakeProcess, memory_folder
from tests.http_client import TOKEN, WEBHOOK, address, ask, daemon_with, multipart

from tocsin.signals import FIELD_NAMES
from tocsind.discord_api.validation import check
from tocsind.http.alertmanager import signal_of
from tocsind.http.slack import from_slack

_NAMES = (
    "text", "attachments", "fields", "title", "value", "short", "color", "ts", "blocks", "payload", "pretext", "author_name", "footer",
    "labels", "annotations", "status", "startsAt", "endsAt", "fingerprint", "generatorURL", "values", "severity", "alertname", "orgId",
    "content", "embeds", "flags", "poll", "components", "id", "filename", "description", "allowed_mentions", "question", "answers",
)  # fmt: skip
_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
_json = st.recursive(
    _leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=20,
)
_object = st.dictionaries(st.sampled_from(_NAMES), _json, max_size=8)


@given(value=st.one_of(_object, _json))
def test_any_slack_message_becomes_something_that_can_be_checked(value: Any) -> None:
    checked = check(msgspec.json.decode(json.dumps(from_slack(value))))
    assert isinstance(checked.errors, dict)


@given(alert=_object, message=_object)
def test_any_alert_becomes_a_signal(alert: dict[str, Any], message: dict[str, Any]) -> None:
    signal = signal_of(alert, message)
    assert signal.title
    assert msgspec.msgpack.encode(signal.as_dict())


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, int]]:
    """Where a daemon listens."""
    with (
        memory_folder() as folder,
        FakeProcess("--limits", "none") as fake,
        daemon_with(folder, fake).start() as daemon,
    ):
        yield address(daemon)
        assert daemon.process.poll() is None, daemon.log.read_text()[-3000:]


_signals = st.dictionaries(st.sampled_from((*FIELD_NAMES, "other")), _json, max_size=6)


@settings(max_examples=100)
@given(body=st.one_of(_object, _json), signal=st.one_of(_signals, st.lists(_signals, max_size=3), _json))
def test_any_json_is_answered(running: tuple[str, int], body: Any, signal: Any) -> None:
    requests = [
        (f"{WEBHOOK}?wait=true&with_components=true", body),
        (f"{WEBHOOK}/slack", body),
        (f"/alertmanager/{TOKEN}", {"alerts": [body, signal]}),
        (f"/alertmanager/{TOKEN}", body),
        (f"/send?token={TOKEN}", signal),
    ]
    for path, value in requests:
        answer = ask(running, "POST", path, json.dumps(value).encode())
        assert answer.status in {200, 204, 400}, (path, answer)
    fields = {"payload_json": json.dumps(body)}
    content, kind = multipart(fields, {"files[0]": ("a", b"x"), "files[1]": ("b", b"y")})
    answer = ask(running, "POST", f"{WEBHOOK}?wait=true", content, Content_Type=kind)
    assert answer.status in {200, 400}
    if answer.status == 200:
        edit = ask(running, "PATCH", f"{WEBHOOK}/messages/{answer.json()['id']}", body)
        assert edit.status in {200, 400}


@settings(max_examples=100)
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=b", "text/plain", "", "x/y;;="]),
)
def test_any_bytes_are_answered(running: tuple[str, int], body: bytes, kind: str) -> None:
    for path in (WEBHOOK, f"/alertmanager/{TOKEN}", f"/send?token={TOKEN}"):
        for content in (body, b"--b\r\n" + body + b"\r\n--b--"):
            assert ask(running, "POST", path, content, Content_Type=kind).status in {200, 204, 400}
