"""Webhook URLs: one normal form, and messages that quote no part of an invalid one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsind.config import ConfigurationInvalid, parse
from tocsind.config.problems import WEBHOOK, masked
from tocsind.config.webhook_url import normalise

NORMAL = "https://discord.com/api/v10/webhooks/123/to-k_en"


@pytest.mark.parametrize(
    "url",
    [
        NORMAL,
        "https://discord.com/api/webhooks/123/to-k_en",
        "https://discord.com/api/webhooks/123/to-k_en/",
        "https://discord.com/api/v6/webhooks/123/to-k_en",
        "https://discordapp.com/api/webhooks/123/to-k_en",
        "https://ptb.discord.com/api/webhooks/123/to-k_en",
        "https://canary.discordapp.com/api/webhooks/123/to-k_en",
        "https://DISCORD.com:443/api/webhooks/123/to-k_en",
        "HTTPS://discord.com/api/webhooks/123/to-k_en/slack",
        "https://discord.com/api/webhooks/123/to-k_en/github?wait=true",
        "https://discord.com/api/webhooks/123/to-k_en?wait=false&with_components=1",
    ],
)
def test_webhook_url_forms_have_one_normal_form(url: str) -> None:
    assert normalise(url) == NORMAL
    assert normalise(url, allow_host=True) == NORMAL


def test_webhook_url_keeps_the_thread_and_drops_the_rest_of_the_query() -> None:
    assert normalise(f"{NORMAL}?wait=1&thread_id=42") == f"{NORMAL}?thread_id=42"


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:8080",
        "https://127.0.0.1",
        "http://127.8.9.10:1",
        "http://localhost:99",
        "http://[::1]:8080",
    ],
)
def test_loopback_webhook_keeps_its_scheme_host_and_port(origin: str) -> None:
    assert normalise(f"{origin}/api/webhooks/1/t") == f"{origin}/api/v10/webhooks/1/t"


@pytest.mark.parametrize("origin", ["https://proxy.example:8443", "https://10.0.0.1", "https://[2001:db8::1]:80"])
def test_webhook_on_another_host_needs_allow_host_and_keeps_its_host(origin: str) -> None:
    with pytest.raises(ValueError, match="allow-host = true"):
        normalise(f"{origin}/api/v9/webhooks/1/t")
    assert normalise(f"{origin}/api/v9/webhooks/1/t", allow_host=True) == f"{origin}/api/v10/webhooks/1/t"


@pytest.mark.parametrize("host", ["proxy.example", "10.0.0.1", "[2001:db8::1]:80", "0.0.0.0", "[::ffff:127.0.0.1]"])
def test_webhook_on_another_host_must_be_https(host: str) -> None:
    with pytest.raises(ValueError, match="must be https on another machine"):
        normalise(f"http://{host}/api/webhooks/1/t", allow_host=True)


@pytest.mark.parametrize(
    "host",
    [
        "discord.com.evil.example",
        "evil-discord.com",
        "discord.com.",
        "localhost.evil.example",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "128.0.0.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "127.0.0.1.evil.example",
        "xn--discord.com",
        "[::1%25lo]",
    ],
)
def test_host_that_resembles_discord_or_loopback_is_another_host(host: str) -> None:
    with pytest.raises(ValueError, match="allow-host"):
        normalise(f"https://{host}/api/webhooks/1/t")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "SECRET",
        "discord.com/api/webhooks/1/SECRET",
        "//discord.com/api/webhooks/1/SECRET",
        "ftp://discord.com/api/webhooks/1/SECRET",
        "https:///api/webhooks/1/SECRET",
        "http://discord.com/api/webhooks/1/SECRET",
        "https://discord.com:8443/api/webhooks/1/SECRET",
        "https://discord.com:SECRET/api/webhooks/1/SECRET",
        "https://[SECRET/api/webhooks/1/SECRET",
        "https://[SECRET]/api/webhooks/1/SECRET",
        "https://user:SECRET@discord.com/api/webhooks/1/SECRET",
        "https://@discord.com/api/webhooks/1/SECRET",
        "https://discord.com@evil.example/api/webhooks/1/SECRET",
        "https://discord.com\\@evil.example/api/webhooks/1/SECRET",
        "https://discord.com/api/webhooks/1/SECRET#",
        "https://discord.com/api/webhooks/1/SECRET#x",
        "https://discord.com/api/webhooks/1/SEC RET",
        "https://discord.com/api/webhooks/1/SECRET\nX: y",
        "https://discord.com/api/webhooks/1/SECRET\u00e9",
        "https://discord.com/api/webhooks/1",
        "https://discord.com/api/webhooks/one/SECRET",
        "https://discord.com/api/webhooks/1/SECRET/messages/2",
        "https://discord.com/api/webhooks/1/..%2fSECRET",
        "https://discord.com/api/../api/webhooks/1/SECRET",
        "https://discord.com/webhooks/1/SECRET",
        "https://discord.com/api/webhooks/1/SECRET?thread_id=SECRET",
        "https://discord.com/api/webhooks/1/SECRET?thread_id=",
        "https://discord.com/api/webhooks/1/SECRET?thread_id=1&thread_id=2",
        "https://SECRET_/api/webhooks/1/SECRET",
        "https://a%41/api/webhooks/1/SECRET",
    ],
)
def test_invalid_webhook_url_is_refused_and_not_quoted(url: str) -> None:
    for allow_host in (False, True):
        with pytest.raises(ValueError, match=r"^(is|must|has|lacks) ") as caught:
            normalise(url, allow_host=allow_host)
        assert "SECRET" not in str(caught.value)
        assert caught.value.__cause__ is None


pieces = st.sampled_from(
    [
        "https://",
        "http://",
        "discord.com",
        "127.0.0.1",
        "localhost",
        "[::1]",
        ":80",
        "@",
        "/",
        "api",
        "v9",
        "webhooks",
        "123",
        "tok",
        "?",
        "thread_id=7",
        "&",
        "#",
        "\\",
        "%2f",
        " ",
        "..",
        "[",
        "]",
        "/api/webhooks/1/t",
        "evil.example",
        "\t",
    ]
)
allowed = re.compile(
    r"(https://discord\.com|https?://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?)/api/v10/webhooks/[0-9]+/[\w-]+(\?thread_id=[0-9]+)?"
)


@given(st.lists(pieces, max_size=12).map("".join) | st.text())
def test_accepted_webhook_url_is_in_normal_form_on_an_allowed_host(url: str) -> None:
    try:
        normal = normalise(url)
    except ValueError:
        return
    assert allowed.fullmatch(normal)
    assert normalise(normal) == normal


@given(
    st.sampled_from(["https://discord.com", "https://ptb.discordapp.com"]),
    st.sampled_from(["", "/v6", "/v9", "/v10"]),
    st.integers(0, 10**19),
    st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True),
    st.sampled_from(["", "/slack", "/github", "/"]),
)
def test_webhook_url_keeps_id_and_token(origin: str, version: str, number: int, token: str, tail: str) -> None:
    url = f"{origin}/api{version}/webhooks/{number}/{token}{tail}"
    assert normalise(url) == f"https://discord.com/api/v10/webhooks/{number}/{token}"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (f'"{NORMAL}"', "quotes"),
        (f"'{NORMAL}'", "quotes"),
        (f'{NORMAL}"', "quotes"),
        (f"<{NORMAL}>", "angle brackets"),
        (f"`{NORMAL}`", "backquotes"),
        (f"\u201c{NORMAL}\u201d", "quotes"),
        (NORMAL.removeprefix("https://"), "lacks https://"),
        (NORMAL.removeprefix("https:"), "lacks https://"),
    ],
)
def test_webhook_url_in_quotes_or_brackets_is_refused_by_their_name(url: str, what: str) -> None:
    with pytest.raises(ValueError, match=what) as caught:
        normalise(url)
    assert "https://discord.com/api/webhooks/ID/TOKEN" in str(caught.value)
    assert NORMAL.rpartition("/")[2] not in str(caught.value), "the token is never shown"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (f'"{NORMAL}"', "quotes"),
        (f"<{NORMAL}>", "angle brackets"),
        (NORMAL.removeprefix("https://"), "lacks https:// at its beginning"),
        (f"{NORMAL}/more", "is no webhook path"),
    ],
)
def test_problem_with_a_webhook_shows_the_format_and_no_part_of_the_url(
    value: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", value)
    config = '[destinations.d]\nkind = "discord"\nwebhook = { env = "HOOK" }\n[[routes]]\nto = ["d"]\n'
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(config, "alerts.toml")
    [problem] = caught.value.problems
    assert what in problem.message
    assert problem.message.endswith("it looks like https://discord.com/api/webhooks/ID/TOKEN")
    assert not any(part in problem.message for part in NORMAL.rsplit("/", 2)[1:])


def test_masked_hides_a_url_and_keeps_the_example() -> None:
    assert masked(f"{NORMAL} is wrong; it looks like {WEBHOOK}") == f"**** is wrong; it looks like {WEBHOOK}"
    assert masked(f"{WEBHOOK}x") == "****"
