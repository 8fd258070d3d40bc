"""The configuration of quiet hours, of delays and of repetitions: what it means, and what its mistakes say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tocsind.config import Config, ConfigurationInvalid, parse, zones
from tocsind.policy.calendar import DAY, EVERY_DAY, Hours
from tocsind.policy.quiet import QuietRule
from tocsind.policy.repeat import Repeat

BASE = '[destinations.f]\nkind = "file"\npath = "x"\n{}\n[[routes]]\nto = ["f"]\n{}\n'


def parsed(quiet: str = "", destination: str = "", route: str = "") -> Config:
    return parse(BASE.format(destination, route) + quiet, "a.toml")


def problems(quiet: str = "", destination: str = "", route: str = "") -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        parsed(quiet, destination, route)
    return [str(problem) for problem in caught.value.problems]


def test_quiet_hours_with_all_keys() -> None:
    config = parsed(
        '[[quiet]]\nfrom = "22:00"\nuntil = "07:00"\ndays = ["mon", "sun"]\nzone = "Europe/Berlin"\nwhen = { priority = "low" }\n'
    )
    hours = Hours(1320, 420, frozenset({0, 6}), ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    assert config.quiet == (QuietRule(hours, {"priority": ("low",)}),)


def test_quiet_hours_default_to_every_day_and_the_zone_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    (rule,) = parsed('[[quiet]]\nfrom = "00:00"\nuntil = "24:00"\n').quiet
    assert rule == QuietRule(Hours(0, DAY, EVERY_DAY, ZoneInfo("Asia/Kolkata"), None))


def test_quiet_hours_without_an_end_are_warned_of() -> None:
    (warning,) = parsed('[[quiet]]\nfrom = "00:00"\nuntil = "24:00"\n').warnings
    assert "quiet[0]: never ends" in warning
    assert parsed('[[quiet]]\nfrom = "00:00"\nuntil = "24:00"\ndays = ["sat", "sun"]\n').warnings == ()


def test_host_zone_is_that_of_the_file_without_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "HOST_ZONE", Path("/usr/share/zoneinfo/America/New_York"))
    assert datetime(2026, 7, 1, tzinfo=zones.host_zone()).utcoffset() == timedelta(hours=-4)
    monkeypatch.setattr(zones, "HOST_ZONE", tmp_path / "missing")
    assert zones.host_zone() is UTC


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('from = "22:00"', 'a.toml:8: quiet[0].until: missing; write it like until = "07:00"'),
        ('from = "7:00"\nuntil = "08:00"', 'quiet[0].from: "7:00" is no time of day; write it like "07:00" or "22:30", in quotes'),
        ('from = "24:00"\nuntil = "08:00"', 'quiet[0].from: must be before "24:00"'),
        ('from = "08:00"\nuntil = "24:01"', 'quiet[0].until: "24:01" is no time of day'),
        ('from = "08:00"\nuntil = "08:60"', 'quiet[0].until: "08:60" is no time of day'),
        ('from = "08:00"\nuntil = 9', "quiet[0].until: 9 is no time of day"),
        ('from = "08:00"\nuntil = "08:00"', 'is the same as `from`; a whole day is from = "00:00", until = "24:00"'),
        ('from = "08:00"\nuntil = "09:00"\ndays = ["monday"]', 'no day is called "monday"'),
        ('from = "08:00"\nuntil = "09:00"\ndays = []', "quiet[0].days: must name at least one"),
        ('from = "08:00"\nuntil = "09:00"\nzone = "Europe/Berln"', 'no time zone is called "Europe/Berln"; did you mean "Europe/Berlin"'),
        ('from = "08:00"\nuntil = "09:00"\nzone = "MEZ+summer"', "names look like"),
        ('from = "08:00"\nuntil = "09:00"\nzone = "Europe"', 'no time zone is called "Europe"'),
        ('from = "08:00"\nuntil = "09:00"\nzone = "../../etc/passwd"', "no time zone is called"),
        ('from = "08:00"\nuntil = "09:00"\nto = ["f"]', "quiet[0].to: unknown key"),
        ('from = "08:00"\nuntil = "09:00"\nwhen = { color = "x" }', "quiet[0].when.color: unknown key"),
    ],
)  # fmt: skip
def test_mistake_in_quiet_hours_is_named_with_its_place(table: str, problem: str) -> None:
    found = problems(f"[[quiet]]\n{table}\n")
    assert any(problem in each for each in found), found


def test_quiet_hours_are_an_array_of_tables() -> None:
    assert problems('[quiet]\nfrom = "22:00"\n') == ["a.toml:8: quiet: must be written as [[quiet]], not as a table"]


def test_variable_that_names_no_zone_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    (problem,) = problems('[[quiet]]\nfrom = "22:00"\nuntil = "07:00"\n')
    assert "has no `zone`, and $TZ" in problem


def test_system_without_a_database_says_which_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "available_timezones", set)
    (problem,) = problems('[[quiet]]\nfrom = "22:00"\nuntil = "07:00"\nzone = "Europe/Berln"\n')
    assert zones.NO_DATABASE in problem


def test_delay_and_repeat_are_read() -> None:
    config = parsed(destination='repeat = { urgent = "5m", most = 3 }', route='delay = "15m"')
    assert config.routes[0].delay == 900
    assert config.destinations["f"].repeat == Repeat(urgent=300, most=3)
    assert parsed(destination="repeat = false").destinations["f"].repeat is None
    assert parsed().destinations["f"].repeat is None


@pytest.mark.parametrize(
    ("destination", "route", "problem"),
    [
        ('repeat = "5m"', "", "repeat: must be false or a table like"),
        ('repeat = { urgent = "soon" }', "", "repeat.urgent:"),
        ('repeat = { urgent = "5m", most = 0 }', "", "repeat.most: must be between"),
        ('repeat = { critical = "5m" }', "", "repeat.critical: unknown key"),
        ("", "delay = -1", "routes[0].delay:"),
    ],
)
def test_mistake_in_delay_or_repeat_is_named(destination: str, route: str, problem: str) -> None:
    found = problems(destination=destination, route=route)
    assert any(problem in each for each in found), found
