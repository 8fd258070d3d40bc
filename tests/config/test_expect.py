"""[[expect]]."""

from __future__ import annotations

import pytest

from tocsind.config import ConfigurationInvalid, ExpectOptions, parse

REST = '[destinations.f]\nkind = "file"\npath = "f"\n[[routes]]\nto = ["f"]\n'


def test_expectations_are_read_with_their_defaults() -> None:
    text = '[[expect]]\nname = "bot"\nevery = 60\n[[expect]]\nname = "my job"\nevery = "1d"\ngrace = "1h"\npriority = "low"\nto = "f"\n'
    assert parse(text + REST, "alerts.toml").expect == (
        ExpectOptions("bot", 60.0, 6.0, "high", ()),
        ExpectOptions("my job", 86_400.0, 3600.0, "low", ("f",)),
    )
    assert parse(REST, "alerts.toml").expect == ()


def test_problems_of_expectations_are_all_found_with_their_places() -> None:
    text = (
        '[[expect]]\nname = "tocsin"\nevery = "1h"\n'
        '[[expect]]\nname = "a"\n'
        '[[expect]]\nname = "b"\nevery = "1h"\nto = ["nowhere"]\n'
        '[[expect]]\nname = "b"\nevery = "400d"\npriority = "loud"\n'
        '[[expect]]\nname = "b"\nevery = "2h"\ncolour = "red"\n'
    )
    with pytest.raises(ConfigurationInvalid) as caught:
        parse(text + REST, "alerts.toml")
    found = [(problem.line, problem.key, problem.message) for problem in caught.value.problems]
    assert [(line, key) for line, key, _ in found] == [
        (2, "expect[0].name"),
        (4, "expect[1].every"),
        (9, "expect[2].to[0]"),
        (12, "expect[3].every"),
        (13, "expect[3].priority"),
        (15, "expect[4].name"),
        (17, "expect[4].colour"),
    ]
    says = [message for _, _, message in found]
    assert "reserved" in says[0]
    assert 'write it like every = "24h"' in says[1]
    assert '"b" is expected twice' in says[5]


def test_expect_as_a_table_is_named_as_a_mistake() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"\[\[expect\]\]"):
        parse('[expect]\nname = "a"\n' + REST, "alerts.toml")
