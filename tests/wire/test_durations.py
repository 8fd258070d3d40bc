"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("5m", 300),
        ("2h30m", 9000),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 90s ", 90),
        ("0s", 0),
        ("5", 5),
        (" 10 ", 10),
        ("0.25", 0.25),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_duration_is_parsed_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s",
        "10 s",
        "-5s",
        "1..5s",
        ".s",
        "5x",
        "5sm",
        "2h30",
        ".",
        "1.2.3",
        "1e3s",
        "ten",
        "9" * 400 + "s",
        "٣s",
    ],
)
def test_duration_error_shows_the_format(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 10s, 5m, 2h30m or 1d"):
        parse_duration(text)


@given(st.text("0123456789.dhms -e", max_size=12) | st.text())
def test_duration_of_any_text_is_parsed_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert "duration" in str(error)  # noqa: PT017 - either ending is right


@given(st.integers(1, 10**9))
def test_duration_round_trips(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(0, 1e9))
def test_duration_round_trips_to_the_second_or_millisecond(seconds: float) -> None:
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= (0.5 if seconds >= 1 else 0.0005001)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.25, "250ms"), (1, "1s"), (59.6, "1m"), (9000, "2h30m"), (86400, "1d")]
)
def test_duration_is_formatted_in_its_shortest_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
