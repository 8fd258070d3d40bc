"""Reading outboxes: plain system calls relative to the folder's descriptor, run in a thread. The format is the client's own module."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from zlib import crc32

import msgspec

from tocsin.outbox import BLOCK, FIRST, FORMAT, HEAD_BYTES, Record, read_boot, read_confirmed, read_record, size_of
from tocsin.spool import MOST_BYTES, is_shared

MOST_RECORDS = 256  # of one outbox in one commit, and
MOST_AT_ONCE = 256 * 1024  # bytes of their bodies, but one record in any case: about a thousand signals
SCAN_AGAIN = 1.0  # s between two readings of a whole file, in search of a record that is not where it should be
_LARGEST_FILE = 2 * MOST_BYTES  # bytes; nobody's outbox grows so far, a sparse file may
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a pipe must not keep us waiting
_CHUNK = 256  # blocks

Sequences = Mapping[tuple[bytes, int], int]  # by id and owner


class NoOutbox(Exception):  # noqa: N818 - names the condition
    """A file is no outbox that may be read; the text says why."""


class Outbox(msgspec.Struct, frozen=True):
    """What is known of one outbox, as far as it is committed."""

    name: str
    id: bytes
    uid: int
    gid: int
    inode: int
    boot: str  # of the machine, that it was made in
    sequence: int  # of the last record taken
    block: int  # behind it
    size: int = 0  # of the file, when all of it was searched in vain: no record was anywhere else then
    scanned: float = 0.0  # when that was; monotonic

    @property
    def seed(self) -> int:
        """What its records' checksums continue from."""
        return crc32(FORMAT + self.id)


class Reading(msgspec.Struct, frozen=True):
    """What one look at an outbox found. `after` is what is known once `records` are committed."""

    after: Outbox
    records: list[Record]
    is_over: bool  # its owner is gone, and nothing is left in it
    more: bool  # there may be more to read
    damage: str | None  # why records are missing that should be there


def read(place: int, name: str, known: Outbox | None, sequences: Sequences) -> Reading:
    """The next records of an outbox. Raises NoOutbox; FileNotFoundError when it is gone."""
    with opened(place, name) as (file, found):
        if known is None or known.inode != found.st_ino:
            known = _first_look(file, name, found, sequences)
        is_over = not _is_owned(file)  # before the last look: what its owner wrote last is found by it
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
    """A file of the spool that may be read, and its facts. Raises NoOutbox."""
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
    """Raises NoOutbox for what must not be read."""
    if not stat.S_ISREG(file.st_mode):
        raise NoOutbox("it is no regular file")
    if file.st_nlink != 1:
        raise NoOutbox("it has another name elsewhere (a hard link)")
    if file.st_uid not in (0, os.geteuid()) and not is_shared(folder):
        raise NoOutbox(f"it belongs to uid {file.st_uid}, and the spool is not shared")
    if file.st_size > _LARGEST_FILE:
        raise NoOutbox(f"it has {file.st_size} bytes; at most {_LARGEST_FILE} are read")


def _first_look(file: int, name: str, found: os.stat_result, sequences: Sequences) -> Outbox:
    head = os.pread(file, HEAD_BYTES, 0)
    if not head:
        raise NoOutbox("it is empty")
    if len(head) < HEAD_BYTES or not head.startswith(FORMAT):
        version = head[: len(FORMAT)].startswith(FORMAT[:-2])
        raise NoOutbox("it is of another version of the format" if version else "it is no outbox")
    id_ = head[len(FORMAT) :]
    sequence = max(sequences.get((id_, found.st_uid), 0), read_confirmed(file))
    return Outbox(name, id_, found.st_uid, found.st_gid, found.st_ino, read_boot(file), sequence, FIRST)


def _is_owned(file: int) -> bool:
    """Whether the process that writes it lives."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _next(file: int, at: Outbox, *, thorough: bool) -> tuple[Record | None, Outbox]:
    """The next record: where the one before ends, at the start of a lap, or else anywhere in the file.

    Its owner writes meanwhile: behind our back the next record may have come to where we had looked, and a later one to where we had not.
    So a later one alone proves nothing before a second search: whatever was written before it is visible by then.
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
    """The record that was taken last, if it is still there, and the one with the lowest sequence number above it."""
    found: list[Record] = []
    for _, block in sorted(_later(file, at.sequence - 1)):
        record = read_record(file, at.seed, block)
        if record is not None and record.sequence >= at.sequence:
            found.append(record)
            if record.sequence > at.sequence:
                break
    return found


def _later(file: int, sequence: int) -> Iterator[tuple[int, int]]:
    """Blocks that begin like records above `sequence`, with their own: the checksum is still to be looked at."""
    first = FIRST
    while raw := os.pread(file, _CHUNK * BLOCK, first * BLOCK):
        for at in range(0, len(raw), BLOCK):
            found = int.from_bytes(raw[at + 8 : at + 16], "little")
            if found > sequence and size_of(raw[at : at + 8]) > 0:
                yield found, first + at // BLOCK
        first += _CHUNK


def confirm(place: int, outbox: Outbox) -> None:
    """Let the owner use the blocks again. Without a sync: the journal knows as well. Raises OSError."""
    file = os.open(outbox.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    try:
        if os.fstat(file).st_ino == outbox.inode:
            os.pwrite(file, outbox.sequence.to_bytes(8, "little"), BLOCK)
    finally:
        os.close(file)


def delete(place: int, outbox: Outbox) -> None:
    """Remove an outbox whose owner is gone, unless another file has its name by now."""
    if os.stat(outbox.name, dir_fd=place, follow_symlinks=False).st_ino == outbox.inode:
        os.unlink(outbox.name, dir_fd=place)
