"""docs/reference/fields.md: its example runs, and values are read as its table says."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.docs.blocks import blocks, matches

from tocsin.signals import Signal


def test_fields_page_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    example, shown = blocks("reference/fields.md")
    done = subprocess.run(
        [sys.executable, "-c", example.text], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert matches(shown.text, done.stdout)


def test_fields_page_says_when_a_signal_is_a_discord_message() -> None:
    assert Signal.from_dict({"content": "hello", "priority": "high"}).payload == {"content": "hello"}
    assert Signal.from_dict({"content": "hello", "rsi": 33}).payload is None


@pytest.mark.parametrize(
    ("field", "given", "held"),
    [
        *(("price", text, 64000.5) for text in ("64000.50", "64,000.50", "64.000,50", "64 000.50", "$64,000.50")),
        ("price", "64,5", 64.5),
        ("price", "64,000", 64000.0),
        ("price", Decimal("64000.50"), 64000.5),
        *(("confidence", value, 0.95) for value in ("0.95", "95%", "95 percent", 95)),
        *(("priority", word, "urgent") for word in ("CRITICAL", "emergency", "fatal", "page", "p1", 50)),
        *(("priority", word, "high") for word in ("ERROR", "major", "p2", 40)),
        *(("priority", word, "normal") for word in ("WARNING", "medium", "notice", "p3", 30)),
        *(("priority", word, "low") for word in ("INFO", "DEBUG", "minor", "p4", "p5", 10)),
        ("key", 4711, "4711"),
        ("key", 4711.0, "4711"),
        ("tags", "btc", ["btc"]),
        ("tags", {"b", "a"}, ["a", "b"]),
        ("body", ["a", "b"], "a\nb"),
        ("expires", 0, None),
        ("attach", ["/tmp/a.png", "/tmp/b.png"], "/tmp/a.png"),
        ("body", Decimal, "Decimal"),
        ("body", object(), None),
        ("fields", {"pairs": map(str.upper, "ab")}, {"pairs": "A, B"}),
        ("price", "nan", None),
        ("price", "a lot", None),
    ],
)
def test_fields_page_says_how_a_value_is_read(field: str, given: Any, held: Any) -> None:
    assert getattr(Signal.from_dict({"title": "T", field: given}), field) == held
