"""Redaction: configured secrets in each of their forms, and texts that have the shape of a token."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from tocsind import secret
from tocsind.policy.outcomes import Deferred, Delivered, Report
from tocsind.secret import Secret, masked, redacted, redacted_struct, register_environment


@pytest.fixture(autouse=True)
def no_known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_known", {})


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "quoted": lambda value: quote(value, safe=""),
    "quoted, in small letters": lambda value: quote(value, safe="").lower(),
    "path": quote,
    "form": quote_plus,
    "json": json.dumps,
    "json, escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "html": html.escape,
    "base64": lambda value: b64encode(value.encode()).decode(),
    "base64, behind a user's name": lambda value: b64encode(b"u:" + value.encode()).decode(),
    "base64, behind two names": lambda value: b64encode(b"\0u\0" + value.encode()).decode(),
    "base64 of urls": lambda value: urlsafe_b64encode(b"u:" + value.encode()).decode(),
    "cut": lambda value: f"{value[:-7]}...",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "value", ['p&ss/w rd+<ü>="q" 12345', "abcdefghijklmnopqrstuvwxyz", "1234567890123456789012345"]
)
def test_redacted_replaces_a_secret_in_every_form(form: str, value: str) -> None:
    Secret(value)
    text = redacted(f"refused: {FORMS[form](value)}!")
    assert "****" in text
    for part in (value[3:12], quote(value[3:12]), FORMS[form](value)[6:-6]):
        assert part not in text, text


@pytest.mark.parametrize("before", [b"", b"u:", b"\0u\0", b"\0user\0"])
def test_redacted_leaves_nothing_of_the_base64_text_around_a_secret(before: bytes) -> None:
    Secret("aPasswordOfTheRelay99")
    assert redacted(f"bad {b64encode(before + b'aPasswordOfTheRelay99').decode()} here") == "bad **** here"


def test_redacted_replaces_password_path_and_query_of_a_secret_url() -> None:
    Secret("https://user:hunter22@hooks.example/services/T0ABCDEFG/my-Private-path?room=attic7&n=1")
    for part in ("hunter22", "T0ABCDEFG", "my-Private-path", "attic7"):
        assert redacted(f"at {part} it failed") == "at **** it failed"
    assert redacted("hooks.example services room user 1") == "hooks.example services room user 1"


def test_redacted_leaves_plain_words_of_a_secret_url_readable() -> None:
    Secret("https://admin@hooks.example/services/aB3defghijk?channel=alerts&priority=urgent#General")
    Secret("redis://default:hunter22@redis.example/0")
    text = "admin: the default of alerts is urgent in General"
    assert redacted(text) == text
    assert redacted("no aB3defghijk, no hunter22") == "no ****, no ****"


def test_redacted_leaves_the_path_of_a_socket_readable() -> None:
    Secret("unix://tocsin:hunter33@/run/redis/redis-server.sock")
    assert (
        redacted("unix:///run/redis/redis-server.sock refuses hunter33")
        == "unix:///run/redis/redis-server.sock refuses ****"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://ops:sesame@hooks.example/",
        "https://se5ame@hooks.example/",
        "https://sesameandmuchmore@hooks.example/",
        "https://hooks.example/?token=sesame",
        "https://hooks.example/?api_key=sesame",
        "https://hooks.example/?room=sesame-7",
    ],
)
def test_redacted_replaces_a_word_of_a_url_that_is_a_password_or_a_token(url: str) -> None:
    Secret(url)
    word = re.search(r"se[s5]ame[\w-]*", url)
    assert word
    assert redacted(f"they say {word[0]} is wrong") == "they say **** is wrong"


def test_redacted_replaces_a_short_secret_only_as_a_whole_word() -> None:
    Secret("test")
    assert redacted("test, test-1: the latest contest") == "****, ****-1: the latest contest"
    Secret("abc")
    assert redacted("abc") == "abc", "too short: it would match everywhere"


def test_urls_that_contain_a_known_secret_add_no_new_secret() -> None:
    Secret("https://discord.com/api/v10/webhooks/123456789012345678/aToken-of-some-length_1")
    known = len(secret._known)
    for number in range(100):
        Secret(
            f"https://discord.com/api/v10/webhooks/123456789012345678/aToken-of-some-length_1/messages/{number}?wait=true"
        )
    assert len(secret._known) == known


@pytest.mark.parametrize(
    "token",
    [
        "webhooks/123456789012345678/aB3_-xyz",
        "webhooks%2F123456789012345678%2FaB3_-xyz",
        "123456789:AAF-abcdefghijklmnopqrstuvwxyz0123456",
        "/bot123456789:AAF-abcdefghijklmnopqrstuvwxyz0123456/sendMessage",
        "bot123456789%3AAAF-abcdefghijklmnopqrstuvwxyz0123456",
        "xoxb-123456789012-abcdefABCDEF",
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "hooks.slack.com%2Fservices%2FT00000000%2FB00000000%2FXXXX",
        "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        "azGDORePK8gMaC0QOYAMyEEuzJnyUi",
        "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
        "Authorization: Bearer abc123def456",
        "authorization: basic dXNlcjpwYXNzd29yZA==",
        "https://user:pa55@host/x",
        "https://host/x?a=1&token=abc",
    ],
)
def test_redacted_replaces_token_shapes_that_are_not_configured(token: str) -> None:
    text = redacted(f"the server says {token} is wrong")
    assert "****" in text
    assert token not in text
    assert text.startswith("the server says ")
    assert text.endswith(" is wrong")


@pytest.mark.parametrize(
    "text",
    [
        "503 from Discord: Service Unavailable",
        "01J9Z3NDEKTSV4RRFFQ69G5FAV",
        "https://discord.com/developers/docs",
        "basic configuration, bearer authentication",
        "message 123456789012345678 at 12:34:56",
        "internationalizationconference",
        "2026-11-29T17:29:00.354Z",
    ],
)
def test_redacted_leaves_plain_words(text: str) -> None:
    assert redacted(text) == text


def test_register_environment_registers_proxy_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:pa55word@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    register_environment()
    assert redacted("407 for pa55word, not for localhost") == "407 for ****, not for localhost"


def test_redacted_struct_reaches_every_text_and_returns_a_clean_value_unchanged() -> None:
    Secret("sesame-open")
    report = Report((Deferred("sesame-open refused"), Delivered()), note="sesame-open")
    assert redacted_struct(report) == Report((Deferred("**** refused"), Delivered()), note="****")
    clean = Report((Delivered(),))
    assert redacted_struct(clean) is clean
    value = {"name": "sesame-open", "why": ["sesame-open", 1, None]}
    assert redacted_struct(value, {"name"}) == {"name": "sesame-open", "why": ["****", 1, None]}


def test_masked_replaces_urls() -> None:
    assert masked("see https://example.com/a and b") == "see **** and b"


def test_secret_hides_its_value_in_repr_str_and_json() -> None:
    value = Secret("sesame-open")
    assert (repr(value), str(value), f"{value}") == ("Secret(****)",) * 3
    with pytest.raises(TypeError):
        msgspec.json.encode(value)
