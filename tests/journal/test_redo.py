"""The redo log: whatever a crash leaves in the file, the next start finds exactly what was synced, and applies it once."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.made import arrival, standing

from tocsind.errors import CannotWrite
from tocsind.journal import intake, upkeep
from tocsind.journal.records import Arrival
from tocsind.journal.redo import FILE_NAME, SIZE, Record, RedoLog, packed, records, seed_of, whole_blocks
from tocsind.journal.schema import open_journal

SEED = seed_of(b"this journal's")


def arrivals(*bodies: str) -> list[Arrival]:
    """One for each body; its last byte is no zero, so that a record without it is torn."""
    made = [(arrival("a"), body) for body in bodies]
    return [
        msgspec.structs.replace(
            one, skew=0.1, body=msgspec.msgpack.encode({"title": "BUY", "body": body, "id": one.id})
        )
        for one, body in made
    ]


@contextmanager
def opened(folder: Path) -> Iterator[tuple[sqlite3.Connection, RedoLog]]:
    """A journal and its log, which are left as by a kill: nothing is applied that a start did not apply."""
    with closing(open_journal(folder)) as books:
        log = RedoLog.open(folder, books)
        assert log is not None
        try:
            yield books, log
        finally:
            log.close(remove=False)


def applied(books: sqlite3.Connection, log: RedoLog, some: Sequence[Arrival]) -> None:
    """As the journal's thread does it."""
    books.execute("BEGIN IMMEDIATE")
    intake.append(books, some)
    log.note_applied(books)
    books.execute("COMMIT")
    log.restart()


def stored(books: sqlite3.Connection) -> list[str]:
    return [id_ for (id_,) in books.execute("SELECT id FROM signals ORDER BY number")]


def ids(some: Sequence[Arrival]) -> list[str]:
    return [each.id for each in some]


# --- the bytes -----------------------------------------------------------------------------------------------------------

ROOM = 256 * 1024  # for all that is drawn here
lengths = st.lists(st.lists(st.integers(0, 9000), min_size=1, max_size=3), max_size=6)


def written(lap: list[list[int]], first: int, into: bytearray, seed: int = SEED) -> list[tuple[Record, int, int]]:
    """A lap of records with bodies of these lengths; each with where it begins and ends."""
    at, checksum, found = 0, seed, []
    for number, bodies in enumerate(lap, first):
        record = Record(number, arrivals(*("x" * length for length in bodies)))
        raw, checksum = packed(record, checksum)
        into[at : at + len(raw)] = raw
        found.append((record, at, at + len(raw)))
        at += whole_blocks(len(raw))
    return found


@given(lap=lengths)
def test_what_was_written_is_read(lap: list[list[int]]) -> None:
    raw = bytearray(ROOM)
    found = written(lap, 7, raw)
    assert list(records(bytes(raw), SEED)) == [record for record, _, _ in found]


@given(lap=lengths, at=st.integers(0, 200_000), junk=st.binary(min_size=1, max_size=64))
def test_junk_at_any_byte_ends_the_lap_before_the_record_that_it_hit(
    lap: list[list[int]], at: int, junk: bytes
) -> None:
    raw = bytearray(ROOM)
    found = written(lap, 1, raw)
    before = bytes(raw)
    raw[at : at + len(junk)] = junk
    hit = [bytes(raw[start:end]) != before[start:end] for _, start, end in found]
    sound = hit.index(True) if True in hit else len(hit)
    assert list(records(bytes(raw), SEED)) == [record for record, _, _ in found[:sound]]


@given(lap=lengths, data=st.data())
def test_a_record_torn_at_any_byte_leaves_those_before_it(lap: list[list[int]], data: st.DataObject) -> None:
    raw, whole = bytearray(ROOM), bytearray(ROOM)
    found = written(lap, 1, whole)
    cut = data.draw(st.integers(0, found[-1][2] if found else 0))
    raw[:cut] = whole[:cut]
    assert list(records(bytes(raw), SEED)) == [record for record, _, end in found if end <= cut]


@given(old=lengths, new=lengths)
def test_an_earlier_lap_is_noise_behind_a_later_one(old: list[list[int]], new: list[list[int]]) -> None:
    raw = bytearray(ROOM)
    earlier = written(old, 1, raw)
    later = written(new, 1 + len(old), raw)
    assert list(records(bytes(raw), SEED)) == [record for record, _, _ in later or earlier]


@given(old=lengths, new=lengths)
def test_what_another_run_began_under_the_same_numbers_is_noise_too(old: list[list[int]], new: list[list[int]]) -> None:
    raw = bytearray(ROOM)
    written(old, 1, raw)
    later = written(new, 1, raw)  # numbers of records that were torn, or never synced, are given again
    found = list(records(bytes(raw), SEED))
    assert found[: len(later)] == [record for record, _, _ in later]
    assert not later or len(found) == len(later)


@given(lap=lengths)
def test_the_log_of_another_journal_is_noise(lap: list[list[int]]) -> None:
    raw = bytearray(ROOM)
    written(lap, 1, raw, seed_of(b"another journal's"))
    assert list(records(bytes(raw), SEED)) == []


def test_what_does_not_follow_in_number_is_of_another_lap_whatever_its_checksum_says() -> None:
    first, checksum = packed(Record(1, arrivals("x")), SEED)
    third, _ = packed(Record(3, arrivals("x")), checksum)
    raw = first.ljust(whole_blocks(len(first)), b"\0") + third
    assert [record.number for record in records(raw, SEED)] == [1]


@given(raw=st.binary(max_size=20_000))
def test_whatever_is_in_the_file_reading_it_raises_nothing(raw: bytes) -> None:
    assert list(records(raw, SEED)) == []


# --- the file ------------------------------------------------------------------------------------------------------------

steps = st.lists(st.one_of(st.lists(st.integers(0, 9000), min_size=1, max_size=3), st.just("commit")), max_size=8)


@settings(max_examples=15, deadline=None)  # each opens three journals, and syncs
@given(steps=steps, data=st.data())
def test_a_kill_anywhere_loses_nothing_that_was_synced_and_enters_nothing_twice(
    steps: list[list[int] | str], data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder, promised, pending = Path(name), list[str](), list[Arrival]()
        with opened(folder) as (books, log):
            for step in steps:
                if isinstance(step, str):
                    applied(books, log, pending)
                    pending.clear()
                else:
                    some = arrivals(*("x" * length for length in step))
                    assert log.append(some)
                    pending += some
                    promised += ids(some)
            torn = _torn_write(log, data.draw(st.integers(0, 12_000)))
        with (folder / FILE_NAME).open("r+b") as file:
            file.seek(torn[0])
            file.write(torn[1])
        for _ in range(2):  # and a second kill changes nothing
            with opened(folder) as (books, _):
                assert stored(books) == promised


def _torn_write(log: RedoLog, length: int) -> tuple[int, bytes]:
    """A record that was being written when the power went: all but its end."""
    raw, _ = packed(Record(log._number + 1, arrivals("y" * length)), log._checksum)
    return log._at, raw[:-1] + bytes([raw[-1] ^ 0xFF])


def test_what_was_forgotten_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    some = arrivals("old")
    with opened(tmp_path) as (books, log):
        log.append(some)
        applied(books, log, some)
        upkeep.drop(books, some[0].id, 0.0)
        assert upkeep.forget(books, 2e10) == 1
    with opened(tmp_path) as (books, _):
        assert stored(books) == []


def test_what_is_applied_waits_for_its_destination_as_if_it_had_been_committed_at_once(tmp_path: Path) -> None:
    one = arrival("a", "b", expires=60)
    with opened(tmp_path) as (_, log):
        log.append([one])
    with opened(tmp_path) as (books, _):
        assert standing(books, one.id) == {"a": "queued", "b": "queued"}
        assert upkeep.next_deadline(books) == one.accepted + 60


def test_the_next_run_counts_on_where_this_one_was_killed(tmp_path: Path) -> None:
    first, second = arrivals("first"), arrivals("second")
    with opened(tmp_path) as (_, log):
        log.append(first)
    with opened(tmp_path) as (_, log):
        log.append(second)
    with opened(tmp_path) as (books, _):
        assert stored(books) == ids(first + second)


def test_a_journal_that_was_made_anew_takes_nothing_from_the_log_of_the_old(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, log):
        log.append(arrivals("the old one's"))
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    with opened(tmp_path) as (books, _):
        assert stored(books) == []


def test_a_record_that_does_not_fit_is_left_to_a_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as (books, log):
        assert not log.append(arrivals("x" * SIZE))
        some = arrivals("x" * (SIZE // 2))
        assert log.append(some)
        assert not log.append(arrivals("x" * (SIZE // 2)))
        applied(books, log, some)
        assert log.append(arrivals("x" * (SIZE // 2)))


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    with opened(tmp_path):
        assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
        assert (tmp_path / FILE_NAME).stat().st_size == SIZE


def failing(error: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    return fail


def test_without_room_for_it_there_is_none_and_none_is_left_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    with closing(open_journal(tmp_path)) as books:
        assert RedoLog.open(tmp_path, books) is None
    assert not (tmp_path / FILE_NAME).exists()


def test_a_disk_that_takes_no_write_to_it_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as (_, log):
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing(errno.ENOSPC))
            assert not log.append(arrivals("no room"))
        some = arrivals("room again")
        assert log.append(some)
    with opened(tmp_path) as (books, _):
        assert stored(books) == ids(some)


def test_a_log_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with closing(open_journal(tmp_path)) as books, pytest.raises(CannotWrite, match=rf"{FILE_NAME} .* cannot be taken"):
        RedoLog.open(tmp_path, books)


def test_a_log_whose_records_do_not_fit_into_the_journal_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = arrivals("x" * 100_000)
    with opened(tmp_path) as (_, log):
        log.append(some)
    with closing(open_journal(tmp_path)) as books:
        books.execute("PRAGMA max_page_count = 1").fetchall()
        with pytest.raises(CannotWrite, match="full"):
            RedoLog.open(tmp_path, books)
    with opened(tmp_path) as (books, _):
        assert stored(books) == ids(some)
