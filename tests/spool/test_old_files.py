"""The signals of a file of an earlier version."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tocsin import Signal
from tocsin.ids import is_id, new_id
from tocsind.spool.old_files import SpoolFile, parse

WRITTEN, NOW = 1_700_000_000.0, 1_700_000_100.0


def read(*lines: str | bytes | dict[str, Any], name: str = "a.jsonl") -> SpoolFile:
    encoded = (
        json.dumps(line).encode() if isinstance(line, dict) else line if isinstance(line, bytes) else line.encode()
        for line in lines
    )
    return parse(name, b"\n".join(encoded), (1, 2), WRITTEN, NOW)


def only(**signal: Any) -> Signal:
    [found] = read({"title": "a", **signal}).signals
    return found


def test_old_signal_has_the_time_of_its_writing() -> None:
    assert only(expires=250).expires == 250
    assert only().timestamp == WRITTEN
    assert only(timestamp=5).timestamp == 5
    assert only(timestamp="yesterday").timestamp is None


def test_signal_from_the_future_has_age_zero() -> None:
    found = parse("a", b'{"title": "a", "expires": 30}', (1, 2), NOW + 50, NOW)
    assert found.age == 0


def test_missing_id_is_derived_from_file_and_line() -> None:
    given_id = new_id()
    assert only(id=given_id).id == given_id
    first, second = read({"title": "a"}, {"title": "a"}).signals
    assert is_id(first.id)
    assert len({first.id, second.id, read({"title": "a"}, name="b").signals[0].id}) == 3
    assert [signal.id for signal in read({"title": "a"}, {"title": "a"}).signals] == [first.id, second.id]


def test_invalid_line_is_reported_and_the_others_are_read() -> None:
    found = read({"title": "a"}, "", "{oops", {"priority": "high"}, "[]", {"title": "c"})
    assert [signal.title for signal in found.signals] == ["a", "c"]
    assert [error.split(":")[0] for error in found.errors] == ["line 3", "line 4", "line 5"]


def test_empty_old_file_is_an_error() -> None:
    assert read("\n \n").errors == ["it is empty"]


def test_old_file_with_too_many_lines_is_an_error() -> None:
    assert read(*["{}"] * 5001).errors == ["it has more than 5000 lines"]
    assert len(read(*["{}"] * 5000).errors) == 10


def test_deeply_nested_line_is_an_error() -> None:
    assert len(read('{"title": ' + "[" * 100_000).errors) == 1


@given(st.binary(max_size=300))
def test_any_content_is_parsed_or_reported(content: bytes) -> None:
    found = parse("a", content, (1, 2), WRITTEN, NOW)
    assert found.signals or found.errors


def test_derived_ids_survive_the_correction_of_another_line() -> None:
    name = "1700000000123456789-120-abc.jsonl"
    before = parse(name, b'{"title": "one"}\n{"title": }\n{"title": "three"}\n', (1, 2), WRITTEN, NOW)
    after = parse(name, b'{"title": "one"}\n{"title": "2"}\n{"title": "three"}\n', (1, 2), WRITTEN + 50, NOW)
    one, three = (signal.id for signal in before.signals)
    assert [signal.id for signal in after.signals if signal.title != "2"] == [one, three]
    assert len({signal.id for signal in after.signals}) == 3


def test_equal_lines_are_separate_signals() -> None:
    assert len({signal.id for signal in read({"title": "a"}, {"title": "a"}).signals}) == 2
