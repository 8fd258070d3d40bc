"""The redo log: where a hand-off is synced before it is answered, and from where it reaches the tables milliseconds later.

A commit of SQLite writes eight pages and their checksums before it syncs; all that a promise needs is one block and the sync. So what
programs hand in is written here first, one record for all that came together, synced, and answered (`promises`). The next commit that
somebody needs, or soon one of its own, applies the records: it writes the same rows that would have been written at once, and beside
them the number of the last record. Then the log begins again at its first byte.

The journal is still the queue. Nobody reads here but the next start; whoever asks the journal for anything asks behind what was promised
before, and a lane hears of a signal behind its commit. Nothing waits here longer than some milliseconds, unless the disk is full.

    record      checksum, length, number, and the arrivals (records.Arrival) as MessagePack. Each begins a block of its own, so that no
                write touches a block that holds somebody's promise: a torn one hurts nobody who was answered
    number      counts on over all laps and runs: what does not follow the record before it is of another lap
    checksum    CRC-32, continued from the record before it; the first of a lap continues from the journal's own salt and this format's
                version. So a torn record ends the lap, and what lies behind it, or in another journal's log, is noise

    killed, or without power ...    what the next start finds, and does
    before the sync                 perhaps the record, whole or torn. Nobody was answered. A whole one is applied: its caller repeats it,
                                    or spools it, under the same id, and it is one
    between sync and commit         the records; it applies them
    behind the commit               the records, and their number in `redo.applied`: nothing is applied again, whatever became of it
    early in the next lap           a record, whole or torn, and behind it some of another lap: noise
    while it applies                what the start before found: applying is one commit

    fails                           what follows
    the sync                        nobody knows what the disk holds: no answer, storage is unhealthy, the daemon leaves, as with any sync.
                                    What was promised before lies in other blocks, and is applied by the next start
    the write, for want of room     (a file system that keeps none for a block that was written before) the hand-offs become jobs, and
                                    their commit says what there is to say
    a promise's commit, for room    it stays here, safe; it is tried with every commit and every second. Meanwhile the intake is closed and
                                    no more is promised. Whoever only reads is served
    the same, otherwise             the daemon leaves, and the next start applies what is here
    the log is full, or shorter     the hand-offs become jobs, behind the promises in one commit, which empties the log
    no room for the file            there is no log in this run, and every hand-off is a job

The file is really written once, in full, so that no sync has to write down where its blocks are. Closing applies everything and removes
it: one file is the journal, unless it was killed. An older tocsind knows nothing of the log, so the schema's version keeps it out.

DESIGN.md wants no disk format of our own. This one is as small as they come, one kind of record that lives for milliseconds, beside a
queue that stays SQLite; and it took the median of a durable hand-off from 3.1 to 3.7 times the floor (the floor is 1.3 syncs) to two.
What it relies on beyond SQLite is only what SQLite itself relies on: that a block which nobody writes stays as it was.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self
from zlib import crc32

import msgspec

from tocsind.errors import CannotWrite

from .intake import append
from .records import Arrival

FILE_NAME = "journal.redo"
SIZE = 1024 * 1024  # bytes: of milliseconds, and a frame of the largest kind
_BLOCK = 4096  # no disk's sector is larger, and no page of memory
_FORMAT = b"tocsin redo log, version 1"
_CHECKSUM = struct.Struct("<I")
_REST = struct.Struct("<IQ")  # length of the arrivals, number of the record
_HEAD = _CHECKSUM.size + _REST.size
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Arrival]).decode


class RedoLog:
    """The file, and how far this lap is written. All of it is for the journal's thread."""

    def __init__(self, path: Path, descriptor: int, seed: int, number: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._seed = seed
        self._number = number
        self._at, self._checksum = 0, seed

    @classmethod
    def open(cls, folder: Path, connection: sqlite3.Connection) -> Self | None:
        """This journal's log, with what a killed run left in it applied; None when there is no room for one. Raises CannotWrite."""
        path = folder / FILE_NAME
        try:
            salt, applied = connection.execute("SELECT salt, applied FROM redo").fetchone()
            seed = seed_of(salt)
            left = _read(path)
            number = _apply(connection, [record for record in records(left, seed) if record.number > applied], applied)
            descriptor = _prepared(path, is_whole=len(left) == SIZE)
        except (sqlite3.Error, OSError) as error:
            raise CannotWrite(f"what {path} holds cannot be taken into the journal: {error}") from error
        return None if descriptor is None else cls(path, descriptor, seed, number)

    def append(self, arrivals: list[Arrival]) -> bool:
        """Write one record and sync it; False when there is no room for it. Raises OSError when the disk fails."""
        record, checksum = packed(Record(self._number + 1, arrivals), self._checksum)
        if self._at + len(record) > SIZE or not self._write(record):
            return False
        os.fdatasync(self._descriptor)
        self._number += 1
        self._checksum = checksum
        self._at += whole_blocks(len(record))
        return True

    def _write(self, record: bytes) -> bool:
        try:
            return os.pwrite(self._descriptor, record, self._at) == len(record)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return False

    def note_applied(self, connection: sqlite3.Connection) -> None:
        """Within the commit that applies all records."""
        connection.execute("UPDATE redo SET applied = ?", (self._number,))

    def restart(self) -> None:
        """Behind that commit: the next record begins a lap."""
        self._at, self._checksum = 0, self._seed

    def close(self, *, remove: bool) -> None:
        """No more records; `remove` is for a log whose records are all applied."""
        os.close(self._descriptor)
        if remove:
            with suppress(OSError):
                self._path.unlink()


class Record(NamedTuple):
    """What was synced together."""

    number: int
    arrivals: list[Arrival]


def seed_of(salt: bytes) -> int:
    """From which the checksums of a lap begin."""
    return crc32(salt, crc32(_FORMAT))


def packed(record: Record, checksum: int) -> tuple[bytes, int]:
    """A record's bytes behind the one with this checksum, and its own checksum."""
    body = _encode(record.arrivals)
    rest = _REST.pack(len(body), record.number) + body
    checksum = crc32(rest, checksum)
    return _CHECKSUM.pack(checksum) + rest, checksum


def records(raw: bytes, checksum: int) -> Iterator[Record]:
    """The lap in `raw`, up to the first that is no record of it."""
    at, expected = 0, None
    while at + _HEAD <= len(raw):
        length, number = _REST.unpack_from(raw, at + _CHECKSUM.size)
        end = at + _HEAD + length
        checksum = crc32(raw[at + _CHECKSUM.size : end], checksum)
        if (checksum,) != _CHECKSUM.unpack_from(raw, at) or end > len(raw) or number != (expected or number):
            return
        yield Record(number, _decode(raw[at + _HEAD : end]))
        at, expected = at + whole_blocks(end - at), number + 1


def whole_blocks(length: int) -> int:
    """Bytes from the beginning of a record of this length to where the next may begin."""
    return -(-length // _BLOCK) * _BLOCK


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SIZE)
    except FileNotFoundError:
        return b""


def _apply(connection: sqlite3.Connection, left: Sequence[Record], applied: int) -> int:
    """Enter what a killed run did not; the number of the last record applied."""
    if not left:
        return applied
    connection.execute("BEGIN IMMEDIATE")
    for record in left:
        append(connection, record.arrivals)
    connection.execute("UPDATE redo SET applied = ?", (left[-1].number,))
    connection.execute("COMMIT")
    return left[-1].number


def _prepared(path: Path, *, is_whole: bool) -> int | None:
    """The file, its blocks really written, and durable under its name; None when the disk has no room for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not is_whole:
            _fill(descriptor)
        os.fsync(descriptor)
        _sync_folder(path.parent)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _NO_ROOM:
            raise
        path.unlink()
        return None
    return descriptor


def _fill(descriptor: int) -> None:
    if os.pwrite(descriptor, bytes(SIZE), 0) < SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_folder(folder: Path) -> None:
    """A file is only as durable as the folder that names it, and who was killed may not have come so far."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
