"""Reads outboxes, by blocking system calls relative to the folder's descriptor: call them in a thread. `tocsin.outbox` has the format."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from zlib import crc32

import msgspec

from tocsin.outbox_format import (
    BLOCK,
    FIRST,
    FORMAT,
    HEAD_BYTES,
    Record,
    read_boot,
    read_confirmed,
    read_pid,
    read_record,
    size_of,
)
from tocsin.spool import MOST_BYTES, is_shared

MOST_RECORDS = 256  # of one outbox in one commit, and
MOST_AT_ONCE = 256 * 1024  # bytes of their bodies, at least one record: about a thousand signals
SCAN_AGAIN = 1.0  # s between two searches of a whole file for a record that is not at its expected place
_LARGEST_FILE = 2 * MOST_BYTES  # bytes; no outbox grows so large, a sparse file may
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe must not block the thread
_CHUNK = 256  # blocks

Sequences = Mapping[tuple[bytes, int], int]  # by id and owner


class NoOutbox(Exception):  # noqa: N818 - names the condition
    """The file is no outbox, or must not be read; the text says why."""


class Outbox(msgspec.Struct, frozen=True):
    """The position in one outbox up to which records are committed."""

    name: str
    id: bytes
    uid: int
    gid: int
    inode: int
    boot: str  # id of the machine's boot in which it was created
    sequence: int  # of the last record committed
    block: int  # after that record
    size: int = 0  # of the file when all of it was searched and held no further record
    scanned: float = 0.0  # when it was searched; monotonic
    pid: int = 0  # of the process that made it, in its own words: another user's process cannot be meant, because `uid` is checked

    @property
    def seed(self) -> int:
        """The start value of its records' checksums."""
        return crc32(FORMAT + self.id)


class Reading(msgspec.Struct, frozen=True):
    """The records found by one read of an outbox. `after` is the position once they are committed."""

    after: Outbox
    records: list[Record]
    is_over: bool  # its owner has exited, and it holds no further record
    more: bool  # it may hold further records
    damage: str | None  # which records are missing


def read(place: int, name: str, known: Outbox | None, sequences: Sequences) -> Reading:
    """The next records of an outbox. Raises NoOutbox; FileNotFoundError when it was deleted."""
    with opened(place, name) as (file, found):
        if known is None or known.inode != found.st_ino:
            known = _first_position(file, name, found, sequences)
        is_over = not _is_owned(file)  # before the last read, which finds the owner's last record
        records: list[Record] = []
        damage, room, at = None, MOST_AT_ONCE, known
        while room > 0 and len(records) < MOST_RECORDS:
            record, at = _next(file, at, thorough=is_over)
            if record is None:
                break
            if record.sequence > at.sequence + 1:
                damage = damage or f"records {at.sequence + 1} to {record.sequence - 1} of it cannot be read"
            records.append(record)
            room -= len(record.body)
            at = msgspec.structs.replace(at, sequence=record.sequence, block=record.end)
        full = room <= 0 or len(records) == MOST_RECORDS
        return Reading(at, records, is_over and not full, full, damage)


@contextmanager
def opened(place: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open a file of the spool that may be read; the descriptor and its stat result. Raises NoOutbox."""
    try:
        file = os.open(name, _FILE, dir_fd=place)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoOutbox(f"it cannot be opened as a file: {error.strerror}") from None
    try:
        found = os.fstat(file)
        check(found, os.fstat(place))
        yield file, found
    finally:
        os.close(file)


def check(file: os.stat_result, folder: os.stat_result) -> None:
    """Raises NoOutbox for a file that must not be read."""
    if not stat.S_ISREG(file.st_mode):
        raise NoOutbox("it is no regular file")
    if file.st_nlink != 1:
        raise NoOutbox("it has another name elsewhere (a hard link)")
    if file.st_uid not in (0, os.geteuid()) and not is_shared(folder):
        raise NoOutbox(f"it belongs to uid {file.st_uid}, and the spool is not shared")
    if file.st_size > _LARGEST_FILE:
        raise NoOutbox(f"it has {file.st_size} bytes; at most {_LARGEST_FILE} are read")


def _first_position(file: int, name: str, found: os.stat_result, sequences: Sequences) -> Outbox:
    head = os.pread(file, HEAD_BYTES, 0)
    if not head:
        raise NoOutbox("it is empty")
    if len(head) < HEAD_BYTES or not head.startswith(FORMAT):
        version = head[: len(FORMAT)].startswith(FORMAT[:-2])
        raise NoOutbox("it is of another version of the format" if version else "it is no outbox")
    id_ = head[len(FORMAT) :]
    sequence = max(sequences.get((id_, found.st_uid), 0), read_confirmed(file))
    return Outbox(
        name, id_, found.st_uid, found.st_gid, found.st_ino, read_boot(file), sequence, FIRST, pid=read_pid(file)
    )


def _is_owned(file: int) -> bool:
    """Whether the process that writes it still runs."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def is_held(place: int, name: str) -> bool:
    """Whether a file that may be read is held open by the program that writes it. Raises FileNotFoundError."""
    try:
        with opened(place, name) as (file, _):
            return _is_owned(file)
    except NoOutbox:
        return False


def _next(file: int, at: Outbox, *, thorough: bool) -> tuple[Record | None, Outbox]:
    """The next record: after the one before it, at the start of the file, or else anywhere in it.

    Its owner writes while this thread searches: the next record may appear in blocks already searched, and a later record in the rest. So
    a later record alone does not prove that one is missing; after a second search it does, because earlier writes are visible by then.
    """
    for block in dict.fromkeys((at.block, FIRST)):
        record = read_record(file, at.seed, block)
        if record is not None and record.sequence == at.sequence + 1:
            return record, at
    now, size = time.monotonic(), os.lseek(file, 0, os.SEEK_END)
    if size == at.size and not thorough and now - at.scanned < SCAN_AGAIN:
        return None, at
    found = _search(file, at)
    later = [record for record in found if record.sequence > at.sequence]
    if later and later[0].sequence > at.sequence + 1:
        later = [record for record in _search(file, at) if record.sequence > at.sequence]
    if later:
        return later[0], at
    return None, msgspec.structs.replace(at, size=size, scanned=now, block=found[0].end if found else at.block)


def _search(file: int, at: Outbox) -> list[Record]:
    """The record that was committed last, if it is still there, and the one with the lowest sequence number above it."""
    found: list[Record] = []
    for _, block in sorted(_later(file, at.sequence - 1)):
        record = read_record(file, at.seed, block)
        if record is not None and record.sequence >= at.sequence:
            found.append(record)
            if record.sequence > at.sequence:
                break
    return found


def _later(file: int, sequence: int) -> Iterator[tuple[int, int]]:
    """(sequence number, block) of blocks that begin like records above `sequence`. The checksums are not checked yet."""
    first = FIRST
    while raw := os.pread(file, _CHUNK * BLOCK, first * BLOCK):
        for at in range(0, len(raw), BLOCK):
            found = int.from_bytes(raw[at + 8 : at + 16], "little")
            if found > sequence and size_of(raw[at : at + 8]) > 0:
                yield found, first + at // BLOCK
        first += _CHUNK


def confirm(place: int, outbox: Outbox) -> None:
    """Let the owner use the blocks again. Without a sync: the journal holds the position too. Raises OSError."""
    file = os.open(outbox.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    try:
        if os.fstat(file).st_ino == outbox.inode:
            os.pwrite(file, outbox.sequence.to_bytes(8, "little"), BLOCK)
    finally:
        os.close(file)


def delete(place: int, outbox: Outbox) -> None:
    """Delete an outbox whose owner has exited, unless another file has its name now."""
    if os.stat(outbox.name, dir_fd=place, follow_symlinks=False).st_ino == outbox.inode:
        os.unlink(outbox.name, dir_fd=place)
