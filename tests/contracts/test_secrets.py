"""A canary as the webhook's token: after every fault it is in the request only, and in no output."""

from __future__ import annotations

import json
import os
import signal
import sys
from base64 import b64encode
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests import fork_server
from tests.contracts.visible import visible_text
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route

from tocsin import Client

QUICK = {"retry": '{ first = "1h", most = "1h" }', "fallback": '["local-file"]'}


BEHAVIOURS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "200": (None, "sent"),
    "404": ({"behaviour": "status", "status": 404, "code": 10015, "message": "Unknown Webhook {token}"}, "disabled"),
    "401": ({"behaviour": "status", "status": 401, "message": "{token} {url}"}, "disabled"),
    "400 that quotes it": (
        {
            "behaviour": "status",
            "status": 400,
            "code": 50035,
            "message": "see {url}",
            "count": 2,
        },  # its plain form, too
        "dead",
    ),
    "500": ({"behaviour": "status", "status": 500, "html": True}, "deferred"),
    "429": ({"behaviour": "rate_limited", "retry_after": 30}, "rate-limited"),
    "a redirect": ({"behaviour": "redirect", "location": "http://127.0.0.1:9/{token}"}, "deferred"),
    "no answer": ({"behaviour": "drop"}, "deferred"),
    "too late": ({"behaviour": "slow", "delay": 30.0}, "deferred"),
}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_token_is_not_shown_after_any_response(tmp_path: Path, fake: FakeProcess, name: str) -> None:
    behaviour, fact = BEHAVIOURS[name]
    token, url = fake.webhooks[0]["token"], fake.webhooks[0]["url"]
    keys = {**QUICK, "deadline": '"1s"' if name == "too late" else '"20s"'}
    config = discord("d", url, **keys).replace(f'"{url}"', '{ env = "CANARY" }') + file() + route("d")
    if behaviour:
        script = json.dumps(behaviour).replace("{token}", token).replace("{url}", url)
        fake.script(json.loads(script))
    with DaemonProcess(tmp_path, config, {"CANARY": url}).start() as daemon:
        id_ = daemon.client.send("x").id
        daemon.wait_for(fact)
        said = visible_text(daemon, id_)
    assert fact in said
    assert token not in said
    assert token[:20] not in said


def test_secret_quoted_by_server_in_another_encoding_is_masked(tmp_path: Path, fake: FakeProcess) -> None:
    """Also other kinds of secrets, and tokens that are not configured."""
    url, token = fake.webhooks[0]["url"], fake.webhooks[0]["token"]
    others = {
        "BEAT": "http://127.0.0.1:9/Canary-of-the-heartbeat-1",
        "HTTPS_PROXY": "http://u:canary-of-proxy@127.0.0.1:9",
    }
    quoted = [quote(url, safe=""), b64encode(f"u:{token}".encode()).decode(), token.upper(), token[:20]]
    quoted += ["Canary-of-the-heartbeat-1", "canary-of-proxy", "tk_canary0canary1canary2canary3c"]
    # as separate responses, or the mask of one could cover another
    fake.script(
        *({"behaviour": "status", "status": 400, "code": 50035, "message": f"no {each}", "count": 2} for each in quoted)
    )
    config = discord("d", url, **QUICK).replace(f'"{url}"', '{ env = "CANARY" }') + file() + route("d")
    config += '[heartbeat]\nurl = { env = "BEAT" }\n'
    with DaemonProcess(tmp_path, config, {"CANARY": url, **others}).start() as daemon:
        said = ""
        for number in range(len(quoted)):
            id_ = daemon.client.send(f"x{number}").id
            daemon.settled(id_)
            said += visible_text(daemon, id_)
    assert said.count('"state": "dead"') or "rerouted" in said
    assert [
        each for each in (token[:16], token[:16].upper(), quoted[1][4:20], "anary-of", "tk_canary") if each in said
    ] == []


def test_token_is_not_shown_after_refused_connection(tmp_path: Path, port: int) -> None:
    token = "canary" + "x" * 62
    url = f"http://127.0.0.1:{port}/api/webhooks/123456789012345678/{token}"
    config = discord("d", url, **QUICK) + file() + route("d")  # in the file itself, which warns
    with DaemonProcess(tmp_path, config).start() as daemon:
        id_ = daemon.client.send("x").id
        assert "cannot connect" in daemon.wait_for("deferred", id=id_)["reason"]
        said = visible_text(daemon, id_)
    assert "a webhook URL is a secret" in said
    assert "canary" not in said


MALFORMED = (
    "https://discord.com/api/webhooks/not-a-number/canary-canary-canary",
    "https://discord.com.evil.example/api/webhooks/123456789012345678/canary-canary-canary",
    "http://discord.com/api/webhooks/123456789012345678/canary-canary-canary",
    "https://user:canary@discord.com/api/webhooks/123456789012345678/canary",
    "discord.com/api/webhooks/123456789012345678/canary-canary-canary",
    "https://discord.com/api/webhooks/123456789012345678/canary\\n-canary",
    "https://discord.com:99999/api/webhooks/123456789012345678/canary-canary",
)
FORMS = ('"{url}"', '{{ env = "{name}" }}', '{{ env = "{url}" }}', '{{ file = "{url}" }}', '{{ credential = "{url}" }}')


@pytest.mark.parametrize("arguments", [["check"], ["check", "--json"], ["run"]], ids=" ".join)
def test_malformed_webhook_url_is_reported_without_quoting_it(tmp_path: Path, arguments: list[str]) -> None:
    env = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    text = route("d0")
    for number, (url, form) in enumerate(product(MALFORMED, FORMS)):
        env[f"CANARY{number}"] = url
        webhook = form.format(url=url, name=f"CANARY{number}")
        text += f'[destinations.d{number}]\nkind = "discord"\nwebhook = {webhook}\n'
    (tmp_path / "alerts.toml").write_text(text)
    done = fork_server.run(
        [sys.executable, "-m", "tocsind", *arguments],
        cwd=tmp_path,
        env=env,
        timeout=PATIENCE,
    )
    assert done.returncode == 78
    said = done.stdout + done.stderr
    assert all(f"destinations.d{number}." in said for number in range(len(MALFORMED) * len(FORMS)))
    assert "canary" not in said


def test_webhook_url_in_wrong_setting_is_masked(tmp_path: Path) -> None:
    url = "https://discord.com/api/webhooks/123456789012345678/canary-canary-canary"
    text = f'[destinations.d]\nkind = "{url}"\nlimit = "{url}"\n[[routes]]\nto = ["{url}"]\n["{url}"]\nx = 1\n'
    with DaemonProcess(tmp_path, text) as daemon:
        assert daemon.spawn().wait(PATIENCE) == 78
        assert "canary" not in daemon.log.read_text()


SOURCES = ("env", "file", "credential")
COMMANDS = (
    ("tocsin", "status"),
    ("tocsin", "status", "--json"),
    ("tocsin", "queue", "--state", "sent"),
    ("tocsin", "test", "x"),
    ("tocsin", "test", "x", "--json"),
    ("tocsin", "tail"),
    ("tocsind", "check"),
    ("tocsind", "check", "--json"),
)


@pytest.mark.parametrize("source", SOURCES)
def test_token_from_any_source_is_in_no_command_output(tmp_path: Path, fake: FakeProcess, source: str) -> None:
    token, url = fake.webhooks[0]["token"], fake.webhooks[0]["url"]
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "canary").write_text(url)
    (secrets / "canary").chmod(0o600)
    place = {"env": "CANARY", "file": str(secrets / "canary"), "credential": "canary"}[source]
    config = discord("d", url, **QUICK).replace(f'"{url}"', f'{{ {source} = "{place}" }}') + file() + route("d")
    env = {"CANARY": url, "CREDENTIALS_DIRECTORY": str(secrets)}
    with DaemonProcess(tmp_path, config, env).start() as daemon:
        id_ = daemon.client.send("x").id
        assert daemon.settled(id_) == ["delivered"]
        daemon.reload()
        daemon.wait_for("reloaded")
        said = visible_text(daemon, id_)
        for command in (*COMMANDS, ("tocsin", "why", id_), ("tocsin", "why", id_, "--json")):
            said += printed(daemon, *command)
        daemon.process.send_signal(signal.SIGABRT)  # as the watchdog does
        daemon.process.wait(PATIENCE)
        said += daemon.log.read_text()
    assert "Fatal Python error: Aborted" in said
    assert token[:20] not in said


def printed(daemon: DaemonProcess, program: str, *words: str) -> str:
    config = ["--config", str(daemon.config)] if program == "tocsind" else []
    done = fork_server.run(
        [sys.executable, "-m", program, *words, *config],
        env=daemon.env,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


CRASHING = """
import sys
from tocsind.__main__ import main
from tocsind.destinations.http import HttpClient

async def bug(self, method, url, **_):
    raise RuntimeError(f"no {method} to {url.reveal()} {url!r}")

HttpClient.request = bug
sys.exit(main())
"""


def test_crash_log_has_traceback_without_secret(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/api/webhooks/123456789012345678/" + "canary" * 11
    with DaemonProcess(tmp_path, discord("d", url) + route("d")) as daemon:
        assert daemon.spawn(sys.executable, "-c", CRASHING).wait(PATIENCE) == 70
        said = daemon.log.read_text()
    assert "Traceback" in said
    assert "RuntimeError: no GET to **** Secret(****)" in said
    assert "canary" not in said


def test_refused_reload_does_not_show_secret(tmp_path: Path) -> None:
    url = "https://discord.com/api/webhooks/nonsense/canary-canary-canary"
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        id_ = daemon.client.send("x").id
        daemon.configure(discord("d", url) + route("d"))
        daemon.reload()
        daemon.wait_for("reload-refused")
        assert "canary" not in visible_text(daemon, id_)


@pytest.mark.parametrize("name", ["200", "404", "400 that quotes it", "no answer"])
def test_client_webhook_token_is_in_its_file_only(tmp_path: Path, fake: FakeProcess, name: str) -> None:
    behaviour, fact = BEHAVIOURS[name]
    token, url = fake.webhooks[0]["token"], fake.webhooks[0]["url"]
    config = "[daemon]\nclient-webhooks = true\n" + file() + route("local-file")
    with DaemonProcess(tmp_path, config).start() as daemon:
        added = [daemon.client.add_webhook(url), daemon.client.add_webhook(url)]
        if behaviour:
            fake.script(json.loads(json.dumps(behaviour).replace("{token}", token).replace("{url}", url)))
        id_ = daemon.client.send("x", to=added[0].destination).id
        daemon.wait_for(fact)
        said = visible_text(daemon, id_) + repr(added)
        [kept] = (daemon.state / "webhooks").iterdir()
        assert token in kept.read_text()
    assert fact in said
    assert token[:20] not in said


def test_refused_client_webhook_url_is_not_shown(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, file() + route("local-file")).start() as daemon:
        id_ = daemon.client.send("x").id
        good = "https://discord.com/api/webhooks/123456789012345678/canary-canary-canary"
        with Client(daemon.socket, timeout=PATIENCE) as client:
            answers = [client.add_webhook(url) for url in (*MALFORMED, good)]
        assert all(answer.destination is None for answer in answers)
        assert "canary" not in repr(answers) + visible_text(daemon, id_)
