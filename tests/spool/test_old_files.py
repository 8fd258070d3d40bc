"""What a spooled file says."""

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


def test_time_runs_from_when_it_was_written() -> None:
    assert only(expires=250).expires == 250
    assert only().timestamp == WRITTEN
    assert only(timestamp=5).timestamp == 5
    assert only(timestamp="yesterday").timestamp is None


def test_a_clock_that_was_set_back_gives_no_signal_a_longer_life() -> None:
    found = parse("a", b'{"title": "a", "expires": 30}', (1, 2), NOW + 50, NOW)
    assert found.age == 0


def test_an_id_is_kept_and_a_missing_one_follows_from_the_place() -> None:
    given_id = new_id()
    assert only(id=given_id).id == given_id
    first, second = read({"title": "a"}, {"title": "a"}).signals
    assert is_id(first.id)
    assert len({first.id, second.id, read({"title": "a"}, name="b").signals[0].id}) == 3
    assert [signal.id for signal in read({"title": "a"}, {"title": "a"}).signals] == [first.id, second.id]


def test_a_bad_line_is_named_and_the_others_stand() -> None:
    found = read({"title": "a"}, "", "{oops", {"priority": "high"}, "[]", {"title": "c"})
    assert [signal.title for signal in found.signals] == ["a", "c"]
    assert [fault.split(":")[0] for fault in found.errors] == ["line 3", "line 4", "line 5"]


def test_an_empty_file_is_a_fault() -> None:
    assert read("\n \n").errors == ["it is empty"]


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    assert read(*["{}"] * 5001).errors == ["it has more than 5000 lines"]
    assert len(read(*["{}"] * 5000).errors) == 10


def test_deep_nesting_is_a_fault_like_another() -> None:
    assert len(read('{"title": ' + "[" * 100_000).errors) == 1


@given(st.binary(max_size=300))
def test_whatever_stands_there_is_read_or_told(content: bytes) -> None:
    found = parse("a", content, (1, 2), WRITTEN, NOW)
    assert found.signals or found.errors


def test_a_person_who_mends_a_line_raises_the_others_under_the_ids_that_they_had() -> None:
    name = "1700000000123456789-120-abc.jsonl"
    before = parse(name, b'{"title": "one"}\n{"title": }\n{"title": "three"}\n', (1, 2), WRITTEN, NOW)
    after = parse(name, b'{"title": "one"}\n{"title": "2"}\n{"title": "three"}\n', (1, 2), WRITTEN + 50, NOW)
    one, three = (signal.id for signal in before.signals)
    assert [signal.id for signal in after.signals if signal.title != "2"] == [one, three]
    assert len({signal.id for signal in after.signals}) == 3


def test_two_equal_lines_are_two_signals() -> None:
    assert len({signal.id for signal in read({"title": "a"}, {"title": "a"}).signals}) == 2
