"""The keys of [http], [alarms] and [heartbeat]."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tocsind.config import AlarmsOptions, ConfigurationInvalid, ExpectOptions, HeartbeatOptions, HttpOptions, parse
from tocsind.config.loading import built_in_text

REST = '[destinations.f]\nkind = "file"\npath = "f"\n[[routes]]\nto = ["f"]\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text + REST, "alerts.toml")
    return [str(problem) for problem in caught.value.problems]


def test_default_has_no_listener_and_no_heartbeat() -> None:
    config = parse(REST, "alerts.toml")
    assert (config.http, config.heartbeat) == (HttpOptions(None), HeartbeatOptions(None))
    assert config.alarms == AlarmsOptions(breaker=120.0, age=900.0)


def test_commented_examples_of_the_default_are_valid_and_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_URL", "https://hc-ping.com/canary")
    text = built_in_text()
    for table in ("[http]", "[alarms]", "[heartbeat]", "[[expect]]"):
        before, shown, after = text.partition(f"# {table}\n")
        lines, _, rest = after.partition("\n\n")
        text = f"{before}{shown[2:]}{re.sub('^# ', '', lines, flags=re.MULTILINE)}\n\n{rest}"
    config = parse(text, "alerts.toml")
    assert config.http == HttpOptions("127.0.0.1:9464")
    assert config.expect == (ExpectOptions("backup", 86_400.0, 1800.0),)
    assert config.alarms == AlarmsOptions()
    beat = config.heartbeat
    assert (beat.every, beat.patience) == (HeartbeatOptions().every, HeartbeatOptions().patience)
    assert beat.url is not None
    assert beat.url.reveal() == "https://hc-ping.com/canary"


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "127.8.9.10:65535", "localhost:1", "[::1]:9464", "/run/tocsin/m.sock"]
)
def test_listen_address_of_this_host_is_read_unchanged(listen: str) -> None:
    assert parse(f'[http]\nlisten = "{listen}"\n{REST}', "alerts.toml").http.listen == listen


def test_http_tokens_are_secrets_and_name_destinations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_HTTP", "canary-of-all")
    place = tmp_path / "token"
    place.write_text("canary-of-one\n")
    place.chmod(0o600)
    text = f'[http]\nlisten = "127.0.0.1:0"\ntoken = {{ env = "TOCSIN_HTTP" }}\ntokens = {{ f = {{ file = "{place}" }} }}\n'
    config = parse(text + REST, "alerts.toml")
    assert config.http.token is not None
    assert (config.http.token.reveal(), config.http.tokens["f"].reveal()) == ("canary-of-all", "canary-of-one")
    assert (config.warnings, "canary" in repr(config)) == ((), False)


def test_http_token_that_is_not_set_is_a_warning() -> None:
    config = parse(f'[http]\nlisten = "127.0.0.1:0"\ntoken = {{ env = "NOT_SET" }}\n{REST}', "alerts.toml")
    assert config.http.token is None
    assert config.warnings == (
        "alerts.toml:3: http.token: NOT_SET is not set: requests that need this token are refused until it is",
    )


def test_http_mistakes_are_reported_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "canary")
    text = '[metrics]\nlisten = "127.0.0.1:0"\n[http]\ntoken = { env = "SHORT" }\ntokens = { g = { env = "SHORT" }, f = 7 }\n'
    assert problems(text) == [
        "alerts.toml:1: metrics: is now [http]: rename the table; its key `listen` is the same",
        'alerts.toml:3: http.listen: missing; write it like "127.0.0.1:9464"',
        "alerts.toml:4: http.token: SHORT needs 8 or more letters and digits, without spaces",
        "alerts.toml:5: http.tokens.g: there is no such destination; known here: f",
        'alerts.toml:5: http.tokens.f: must be { env = "NAME" }, { file = "/path" } or { credential = "name" }, not a number',
    ]


def test_alarm_can_be_switched_off() -> None:
    assert parse(f"[alarms]\nbreaker = false\nage = false\n{REST}", "alerts.toml").alarms == AlarmsOptions(None, None)


def test_observer_mistakes_are_reported_at_once_with_their_places() -> None:
    text = '[http]\nlisten = 9464\n[alarms]\nbreaker = true\nages = "1m"\n[heartbeat]\nevery = "1ms"\nurl = { path = "x" }\n'
    assert problems(text) == [
        "alerts.toml:2: http.listen: must be text, not a number",
        'alerts.toml:4: alarms.breaker: must be false or a duration like "5m", not true',
        'alerts.toml:5: alarms.ages: unknown key; did you mean "age"?',
        "alerts.toml:7: heartbeat.every: must be at least 1s",
        "alerts.toml:8: heartbeat.url: has an unknown source; known here: env, file, credential",
    ]
    assert problems("[heartbeat]\n")[0].startswith("alerts.toml:1: heartbeat.url: missing")


def test_heartbeat_url_in_the_file_is_read_with_a_warning(tmp_path: Path) -> None:
    config = parse(f'[heartbeat]\nurl = "http://localhost:8000/canary"\n{REST}', "alerts.toml")
    (warning,) = config.warnings
    assert "a heartbeat's URL is a secret, and files get copied" in warning
    assert "canary" not in f"{warning} {config}"
