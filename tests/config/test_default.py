"""The search for the file, the built-in default, `tocsind init` and the report of `tocsind check`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tocsin import configuration
from tocsin.signals import Signal
from tocsind.config import Config, ConfigurationInvalid, load, loading, parse, report, starter_text
from tocsind.config.loading import BUILT_IN
from tocsind.policy.bucket import Rate
from tocsind.policy.delivery import Priority
from tocsind.policy.patience import Patience
from tocsind.policy.routes import chain, priority_of, route

PROMISED = (configuration.HERE, configuration.SYSTEM)
MINIMAL = '[destinations.f]\nkind = "file"\npath = "f"\n[[routes]]\nto = ["f"]\n'
CHANNELS = ("signals-free", "signals-premium", "alerts-critical", "alerts-general")
VARIABLES = [
    f"DISCORD_WEBHOOK_{name}" for name in ("SIGNALS_FREE", "SIGNALS_PREMIUM", "ALERTS_CRITICAL", "ALERTS_GENERAL")
]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing set, and an empty working folder."""
    for name in (*VARIABLES, "TOCSIN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(configuration, "SYSTEM", str(tmp_path / "etc" / "alerts.toml"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path


def only_problem(path: str | None = None) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        load(path)
    (problem,) = caught.value.problems
    return str(problem)


def test_configuration_file_is_searched_in_the_documented_order(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().source == BUILT_IN
    places = [
        fresh / "etc" / "alerts.toml",
        fresh / "work" / "alerts.toml",
        fresh / "variable.toml",
        fresh / "given.toml",
    ]
    places[0].parent.mkdir()
    for place in places:
        place.write_text(MINIMAL)
    assert load().source == "alerts.toml"
    places[1].unlink()
    assert load().source == str(places[0])
    monkeypatch.setenv("TOCSIN_CONFIG", str(places[2]))
    assert load().source == str(places[2])
    assert load(str(places[3])).source == str(places[3])


def test_configuration_places_are_the_documented_ones() -> None:
    assert PROMISED == ("alerts.toml", "/etc/tocsin/alerts.toml")


def test_named_file_that_is_missing_is_a_problem(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only_problem("no.toml") == "no.toml: the configuration cannot be read: No such file or directory"
    monkeypatch.setenv("TOCSIN_CONFIG", str(fresh / "no.toml"))
    assert "No such file" in only_problem()
    assert "no such name is possible" in only_problem("a\0b")


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_named_file_that_others_may_write_is_used_with_a_warning(fresh: Path, mode: int) -> None:
    file = fresh / "x.toml"
    file.write_text(MINIMAL)
    assert load(str(file)).warnings == ()
    file.chmod(mode)
    config = load(str(file))
    assert list(config.destinations) == ["f"]
    assert config.warnings == (
        f"{file}: other users than its owner may write to it (mode {mode:04o}): every user who can change it controls this daemon",
    )


def test_file_that_is_passed_over_is_a_warning(fresh: Path) -> None:
    (fresh / "work" / "alerts.toml").write_text(MINIMAL)
    (fresh / "work").chmod(0o777)
    config = load()
    assert config.source == BUILT_IN
    assert (
        "./alerts.toml is passed over: other users than its owner may write to the folder (mode 0777)"
        in config.warnings[0]
    )


@pytest.mark.parametrize("key", ["socket", "state"])
def test_relative_place_is_a_problem_and_home_is_expanded(
    fresh: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    file = fresh / "x.toml"
    file.write_text(f'{MINIMAL}[daemon]\n{key} = "x"\n')
    assert only_problem(str(file)).startswith(f'{file}:7: daemon.{key}: "x" depends on the working folder')
    file.write_text(f'{MINIMAL}[daemon]\n{key} = "~/x"\n')
    assert getattr(load(str(file)).daemon, key) == "/home/u/x"


def test_unreadable_file_is_a_problem_and_not_passed_over(fresh: Path) -> None:
    (fresh / "work" / "alerts.toml").mkdir()
    assert only_problem() == "alerts.toml: the configuration cannot be read: Is a directory"
    (fresh / "work" / "alerts.toml").rmdir()
    (fresh / "work" / "alerts.toml").symlink_to("alerts.toml")
    assert "cannot be read" in only_problem()


def test_file_not_in_utf_8_or_too_large_is_a_problem(fresh: Path) -> None:
    file = fresh / "x.toml"
    file.write_bytes(b"# fine\n# \xff\n")
    assert only_problem(str(file)) == f"{file}:2: not UTF-8, which TOML is written in"
    file.write_bytes(b"#" * 2_000_000)
    assert "larger than" in only_problem(str(file))


def test_byte_order_mark_is_ignored(fresh: Path) -> None:
    (fresh / "x.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load(str(fresh / "x.toml")).destinations


def test_built_in_default_on_a_fresh_machine_uses_the_local_file() -> None:
    config = load()
    assert config.warnings == ()
    usable = [name for name, destination in config.destinations.items() if not destination.disabled]
    assert usable == ["local-file"]
    for name in config.destinations:
        assert (name, *chain(name, config.fallbacks))[-1] == "local-file"


@pytest.mark.parametrize("name", CHANNELS)
def test_default_channels_fall_back_to_one_another_before_the_file(name: str) -> None:
    *channels, last = chain(name, load().fallbacks)
    assert ({name, *channels}, len(channels), last) == (set(CHANNELS), 3, "local-file")


def test_default_configuration_leaves_patience_at_its_defaults() -> None:
    assert {destination.patience for destination in load().destinations.values()} == {Patience()}


def test_built_in_default_is_read_from_an_installed_package(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "alerts.toml").write_text(MINIMAL)
    monkeypatch.setattr(loading, "files", {"tocsind": fresh}.__getitem__)
    assert list(load().destinations) == ["f"]


def test_default_channels_have_the_documented_limits_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"signals-free": 20, "signals-premium": 30, "alerts-critical": 10, "alerts-general": 15}
    channels = list(load().destinations.values())[:4]
    assert {channel.name: channel.limit for channel in channels} == {name: Rate(n, 60.0) for name, n in limits.items()}
    assert [channel.disabled for channel in channels] == [f"{variable} is not set" for variable in VARIABLES]
    for variable in VARIABLES:
        monkeypatch.setenv(variable, "https://discord.com/api/webhooks/1/t")
    assert not any(destination.disabled for destination in load().destinations.values())


@pytest.mark.parametrize(
    ("fields", "destination"),
    [
        ({"tier": "premium", "priority": "urgent"}, "signals-premium"),
        ({"tier": "free"}, "signals-free"),
        ({"priority": "urgent"}, "alerts-critical"),
        ({"confidence": 0.85}, "alerts-critical"),
        ({"confidence": 0.5}, "alerts-general"),
        ({"priority": "low", "tier": "unknown"}, "alerts-general"),
        ({}, "alerts-general"),
    ],
)
def test_default_routes_choose_one_destination_per_signal(fields: dict[str, Any], destination: str) -> None:
    config, signal = load(), Signal("t", **fields)
    priority = priority_of(signal, config.priorities)
    assert isinstance(priority, Priority)
    assert route(signal, priority, config.routes) == (destination,)


def without_lines(config: Config) -> Config:
    return msgspec.structs.replace(config, places={})


def test_starter_text_has_the_meaning_of_the_default() -> None:
    text = starter_text()
    assert without_lines(parse(text, BUILT_IN)) == without_lines(load())
    assert text.startswith("# ")


def test_report_of_a_valid_file_lists_its_destinations() -> None:
    answer = report(load())
    assert json.loads(json.dumps(answer)) == answer
    assert (answer["schema"], answer["ok"], answer["source"], answer["problems"], answer["routes"]) == (
        1,
        True,
        BUILT_IN,
        [],
        4,
    )
    assert answer["destinations"][2] == {
        "name": "alerts-critical",
        "kind": "discord",
        "condition": "disabled",
        "reason": "DISCORD_WEBHOOK_ALERTS_CRITICAL is not set",
        "limit": "10/min",
        "fallback": ["alerts-general", "signals-premium", "signals-free", "local-file"],
    }
    assert answer["destinations"][4]["condition"] == "ready"


@pytest.mark.parametrize(
    ("written", "shown"), [("5/2s", "5/2s"), ("100/hour", "100/h"), ("3/1m", "3/min"), ("1/1d", "1/86400s")]
)
def test_report_writes_a_limit_as_in_the_file(written: str, shown: str) -> None:
    text = MINIMAL.replace("[[", f'limit = "{written}"\n[[')
    assert report(parse(text, "x"))["destinations"][0]["limit"] == shown
    assert parse(text.replace(written, shown), "x") == parse(text, "x")


def test_report_of_an_invalid_file_lists_its_problems() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(MINIMAL + "x = 1", "a.toml")
    assert report(caught.value) == {
        "schema": 1,
        "ok": False,
        "source": "a.toml",
        "problems": [
            {
                "file": "a.toml",
                "line": 6,
                "key": "routes[0].x",
                "message": "unknown key; known here: when, to, continue, delay",
            }
        ],
        "warnings": [],
        "destinations": [],
        "routes": 0,
    }


def test_configuration_is_read_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv(VARIABLES[0], "https://discord.com/api/webhooks/1/t")
    assert not load().destinations["signals-free"].disabled


def test_file_with_daemon_settings_only_gets_the_default_destinations_and_routes() -> None:
    config = parse('[daemon]\nledger = "5d"\n', "a.toml")
    default = parse(loading.built_in_text(), "default")
    assert config.daemon.ledger == 5 * 86400
    assert (config.destinations, config.routes) == (default.destinations, default.routes)
