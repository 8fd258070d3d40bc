"""Kind "webhook": the signature, the headers, both formats, and the configuration's mistakes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import tomli_w
from tests.destinations.signals import delivery

from tocsind.config import Config, ConfigurationInvalid, parse
from tocsind.config.kinds.webhook import WebhookOptions
from tocsind.destinations.http import HttpClient
from tocsind.destinations.webhook import Stories, Webhook, signature
from tocsind.rendering.webhook import alertmanager
from tocsind.secret import Secret

NEW, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
FILE = {"kind": "file", "path": "f.jsonl"}


def configured(**keys: Any) -> Config:
    destinations = {"d": {"kind": "webhook", "url": "https://example.com/hook/x", **keys}, "f": FILE}
    return parse(tomli_w.dumps({"destinations": destinations, "routes": [{"to": ["d", "f"]}]}), "alerts.toml")


def problem(**keys: Any) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        configured(**keys)
    return str(caught.value)


def test_signature_is_that_of_the_standards_reference_library() -> None:
    """The vector of the library's own tests."""
    found = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [Secret(NEW)])
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert found["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert found["webhook-timestamp"] == "1614265330"


def test_request_has_a_signature_for_each_secret_and_none_without() -> None:
    assert len(signature("a", 1, b"", [Secret(NEW), Secret(OLD)])["webhook-signature"].split(" ")) == 2
    assert "webhook-signature" not in signature("a", 1, b"", [])


async def test_request_signs_the_bytes_that_it_sends() -> None:
    options = WebhookOptions(Secret("https://example.com/x"), (Secret(NEW),), {"X-Key": Secret("k")})
    async with HttpClient() as client:
        outgoing = Webhook(options, client).request([delivery("é")])
    (content,) = outgoing.body.parts
    named = {name: str(value) for name, value in outgoing.headers.items()}
    at = int(named["webhook-timestamp"])
    assert named == {"X-Key": "Secret(****)", **signature(named["webhook-id"], at, content, options.secrets)}
    assert "é".encode() in content
    assert json.loads(content)["data"]["title"] == "é"


async def test_repetition_has_an_id_of_its_own() -> None:
    again = msgspec.structs.replace(delivery("x"), repeats=2)
    async with HttpClient() as client:
        outgoing = Webhook(WebhookOptions(Secret("https://example.com/x")), client).request([again])
    assert outgoing.headers["webhook-id"] == f"{again.id}-2"


def test_configuration_reads_secrets_headers_and_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", NEW)
    monkeypatch.setenv("TOKEN", "Bearer abc def")
    config = configured(
        secret={"env": "KEY"}, headers={"Authorization": {"env": "TOKEN"}}, format="alertmanager", deadline="3s"
    )
    options = config.destinations["d"].options
    assert isinstance(options, WebhookOptions)
    assert options.headers["Authorization"].reveal() == "Bearer abc def"
    assert (options.format, options.deadline, len(options.secrets)) == ("alertmanager", 3.0, 1)
    assert config.destinations["d"].address == "webhook:example.com"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "http://example.com/x"}, "must be https"),
        ({"url": "ftp://example.com/x"}, "no web address"),
        ({"secret": "whsec_short"}, "is no Base64"),
        ({"secret": "whsec_c2hvcnQ="}, "has 5 bytes"),
        ({"old-secret": OLD}, "together with `secret`"),
        ({"headers": {"Webhook-Id": "x"}}, "tocsin's to set"),
        ({"headers": {"a b": "x"}}, "no name of a header"),
        ({"headers": {"A": "€"}}, "not ASCII"),
        ({"format": "xml"}, "no format"),
        ({"url": 5}, "must be"),
    ],
)
def test_mistake_is_named_with_its_place_and_without_the_secret(keys: dict[str, Any], said: str) -> None:
    message = problem(**keys)
    assert said in message
    assert message.startswith("alerts.toml:")
    assert not any(value in message for value in keys.values() if isinstance(value, str) and value.startswith("whsec_"))


def test_alert_of_a_key_has_one_beginning_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsind.destinations.webhook.MAX_STORIES", 2)
    opened, closed = delivery("BUY", key="a", action="BUY"), delivery("CLOSE", key="a", action="CLOSED")
    stories = Stories()
    assert stories.began(opened) is None
    stories.note(opened)
    later = msgspec.structs.replace(opened, accepted=opened.accepted + 60)
    stories.note(later)
    assert stories.began(later) == opened.accepted
    assert alertmanager(later, 0.0, stories.began(later))["alerts"][0]["startsAt"] == "2026-01-01T00:00:00.000+00:00"
    stories.note(closed)
    assert stories.began(opened) is None
    for key in "abc":
        stories.note(delivery("x", key=key))
    assert [stories.began(delivery("x", key=key)) is None for key in "abc"] == [True, False, False]
    stories.note(delivery("without a key"))


def test_alertmanager_resolves_the_alert_that_a_key_opened() -> None:
    opened = delivery("BUY", key="trade-1", action="BUY", price=1.5, strategy="ma")
    closed = delivery("CLOSE", key="trade-1", action="CLOSE", price=2.5, strategy="ma")
    first, last = (alertmanager(each, 1_767_225_600.0) for each in (opened, closed))
    assert (first["status"], last["status"]) == ("firing", "resolved")
    assert first["alerts"][0]["fingerprint"] == last["alerts"][0]["fingerprint"]
    assert first["alerts"][0]["labels"]["alertname"] == "trade-1"
    assert first["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"
    assert last["alerts"][0]["endsAt"] == "2026-01-01T00:00:00.000+00:00"
    assert "1.5" not in str(first["alerts"][0]["labels"])
