"""The outbox: the file in the spool to which one process appends its signals. The daemon reads it (`tocsind.spool`).

A durable hand-off is one write and one sync by the caller itself. It involves no daemon, so it costs the same with the daemon
running, hung or stopped. A process opens an outbox at its second hand-off, or at the first that no daemon answers.

    head        block 0: format with its version, random id, the id of the machine's boot, and the pid. Written once
    confirmed   block 1: the last sequence number that the daemon committed. Only the daemon writes it, without a sync: lost, it costs
                nothing, because the journal has the same number
    record      starts on a block of its own, so no write touches a block that holds an acknowledged record. Checksum, length of the
                body, sequence, nanoseconds of wall and boot clock, body: a JSON array of signals. The rest of its last block is zero.
    checksum    CRC-32 of the record, continued from that of the head. With the sequence in it, neither a record of an earlier lap nor
                one of another outbox is ever taken for the next one
    place       behind the record before it; else in the first record block; else at the end of the file, which grows. A reader tries
                the first two, and reads the whole file when it has grown: the record is written before the zeros behind it
    owner       holds an flock for life. A free lock means that the process is gone: the daemon takes what is left and deletes the file

The states of a record: written (the kernel has it: `ack=received`), synced (`ack=stored`), committed by the daemon, confirmed. A
confirmed record's blocks are used again, so steady traffic allocates nothing and its sync writes no metadata (written blocks: 73 us on
ext4, unwritten or new ones: 110 us).

    killed, or without power ...     what the daemon finds
    before the record is whole       a torn record: the checksum ends the outbox there. The caller got no receipt
    between write and sync           perhaps the record. The caller got no receipt; a record that is there is delivered
    behind the sync                  the record
    while the file grows             the record, or a torn one; zeros behind it mean nothing
    while the file is made           a name that begins with a dot, which the daemon deletes after an hour, or an empty outbox
    daemon, before its commit        the record; it is read again
    daemon, commit to confirmation   the record, and its sequence in the journal: it is not taken again. The owner's ring fills one lap more
    daemon, before it deletes        the file, fully taken; it is deleted at the next start

    fails                            what follows
    the sync                         it is unknown what the disk holds: no receipt from this outbox any more. The signal goes over the
                                     socket, and the next ones to a new outbox. What was synced before lies in other blocks
    the write, for want of room      the signal goes over the socket; else `dropped`, with the reason. The record's place is used again
    the ring is full                 the file grows, up to the bounds by owner; then as above
    the file is deleted or cut       seen within 20 ms, before the next record: a new outbox is opened, and what the daemon had not
                                     confirmed is appended to it once more, as far as it can still be read; the ids make it one signal
    it is replaced by another file   the same, for this process still has the old one, without a name. The new one has its own id
    another user's, a link, a hard   the daemon takes it for what its owner (fstat) may hand in, or not at all
    link, of an unknown version      (tocsind.spool)
    the wall clock is set            order is the sequence; and a record's age is measured by the boot clock, within one boot
    a fork, with a lock held         the child starts without outboxes (at fork), and closes its copies: the parent's lock is then its own
    two processes with one pid       names and ids are random, and the lock belongs to the open file: namespaces do not matter
    a signal handler calls `send`    in the middle of an append of its own thread: it appends to a second outbox (`_nested`). Elsewhere
                                     it appends to this one
    another thread is stuck          after the caller's patience it appends to a second outbox as well: the promise is one local write
    the interpreter is closing       everything that a hand-off needs was imported with this module

Threads append one at a time and sync as a group: a thread that waits for the sync lock finds its record synced by the thread before it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from _thread import RLock  # `threading` would be a tenth of what `import tocsin` costs
from collections import deque
from zlib import crc32

from . import spool
from .daemon_lock import DAEMON, DaemonLock
from .outbox_format import BLOCK, FIRST, FORMAT, HEAD_BYTES, SUFFIX, head, pack, read_confirmed, read_record

STALLED = 1.0  # s; a daemon that confirms nothing for so long, while records wait, counts as away
_GROWTH = 256  # blocks that a file grows by at most: 1 MiB, which is synced together with one record
_CHECK_INTERVAL = 0.02  # s between two checks that the file still has its name
_LEAST_RUN = 8  # a free run is reused if it has at least this fraction (1/8) of the file's blocks; else the file grows
_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OutboxLost(OSError):  # noqa: N818 - names the condition
    """The file was deleted, cut, or failed to sync: its owner needs another."""


class NotAppended(OSError):  # noqa: N818 - as above
    """No daemon takes records now, and the caller has asked not to append then."""


class Outbox:
    """One process's file in `folder`, created here. The constructor and every method that touches the disk raise OSError."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.id = os.urandom(HEAD_BYTES - len(FORMAT))
        self._seed = crc32(FORMAT + self.id)
        self._lock = RLock()
        self._sync_lock = RLock()
        self._appending = False
        self._nested: Outbox | None = None
        self.pid = os.getpid()
        self._written = self._synced = self._confirmed = 0
        self._next_look = 0.0
        self._since = 0.0  # when the daemon last confirmed something, or had nothing to confirm; monotonic
        self._waiting: deque[tuple[int, int, int]] = deque()  # unconfirmed records: sequence, first block, end
        self._tail = self._limit = self._end = FIRST  # next block, end of the free run there, end of the file
        self.held = 0  # bytes of its owner's other files
        self._file = self._make()

    def _make(self) -> int:
        place = spool.open_folder(self.folder)
        try:
            found = os.fstat(place)
            spool.check_safe(found)
            self.held = spool.check_room(place, found)
            self._daemon = DaemonLock(os.path.join(self.folder, DAEMON), found.st_uid)  # noqa: PTH118 - pathlib costs the client 3 ms at import
            name = os.urandom(8).hex() + SUFFIX
            file = os.open("." + name, _FILE, 0o600, dir_fd=place)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before it has its name: a daemon must see it locked
                spool.give_to_daemon(file, found)
                os.pwrite(file, head(self.id), 0)
                os.rename("." + name, name, src_dir_fd=place, dst_dir_fd=place)
                os.fsync(place)
            except BaseException:
                os.close(file)
                for made in (name, "." + name):
                    try:  # noqa: SIM105 - contextlib would be a third of what `import tocsin` costs
                        os.unlink(made, dir_fd=place)
                    except OSError:
                        pass
                raise
        finally:
            os.close(place)
        return file

    def append(self, body: bytes, patience: float, *, synced: bool, only: str = "") -> str | None:
        """Append one record. Returns None when a daemon takes it now, else why it has to wait; such a record is synced in any case.

        Waits `patience` seconds for other threads, besides the disk. With `only` = "taken" it raises NotAppended when no daemon takes
        records now, with "there" when no daemon has locked the spool. Raises OSError where the disk fails. After an exception the record
        may or may not be in the file.
        """
        if not self._lock.acquire(timeout=patience):
            return self._second().append(body, 0.0, synced=synced, only=only)
        try:
            if self._appending:
                return self._second().append(body, patience, synced=synced, only=only)
            self._appending = True
            try:
                now = time.monotonic()
                self._check(now)
                reason = self._wait_reason(now)
                if reason and (only == "taken" or (only == "there" and not self._daemon.is_there)):
                    raise NotAppended(errno.EAGAIN, reason)
                sequence = self._append(body)
            finally:
                self._appending = False
        finally:
            self._lock.release()
        if synced or reason:
            self._sync(sequence)
        return reason

    def _second(self) -> Outbox:
        """A second outbox, for hand-offs that must not wait for this one."""
        if self._nested is None:
            self._nested = Outbox(self.folder)
        return self._nested

    def distrust(self) -> None:
        """No daemon answered: the daemon counts as away until it confirms a record of this outbox."""
        self._since = float("-inf")

    @property
    def unconfirmed(self) -> tuple[str, int] | None:
        """The outbox's id and its last record; None when the daemon has confirmed it."""
        return (self.id.hex(), self._written) if self._written > self._confirmed else None

    def _wait_reason(self, now: float) -> str | None:
        """Why a record that is written now has to wait; None when a daemon takes it."""
        confirmed = read_confirmed(self._file)
        if self._confirmed < confirmed <= self._written:
            self._confirmed, self._since = confirmed, now
            while self._waiting and self._waiting[0][0] <= confirmed:
                self._waiting.popleft()
        elif not self._waiting and self._since >= 0:
            self._since = now
        if reason := self._daemon.reason():
            return reason
        return f"the daemon has confirmed nothing for {STALLED:g} s" if now - self._since > STALLED else None

    def _append(self, body: bytes) -> int:
        """Write a record and return its sequence number."""
        sequence = self._written + 1
        record = pack(self._seed, sequence, body)
        blocks = len(record) // BLOCK
        if self._tail + blocks > self._limit and not self._find_run(blocks):
            self._grow(record, blocks)
        elif os.pwrite(self._file, record, self._tail * BLOCK) < len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._waiting.append((sequence, self._tail, self._tail + blocks))
        self._tail += blocks
        self._written = sequence
        return sequence

    def _check(self, now: float) -> None:
        """Raises OutboxLost for a file that was cut or deleted. Its name is not checked each time: after a stat of a file the kernel stores
        a finer time at the next write, which costs the sync 40 us (Linux 6.13 and later).
        """
        lost = os.lseek(self._file, 0, os.SEEK_END) < self._end * BLOCK
        if not lost and now >= self._next_look:
            self._next_look = now + _CHECK_INTERVAL
            lost = not os.fstat(self._file).st_nlink
        if lost:
            raise OutboxLost(errno.ESTALE, "the outbox was deleted or cut")

    def _find_run(self, blocks: int) -> bool:
        """Move to a run of free blocks, here or at the first record block, that is long enough."""
        least = max(blocks, self._end // _LEAST_RUN)
        for start in (self._tail, FIRST):
            limit = min((first for _, first, _ in self._waiting if first >= start), default=self._end)
            if limit - start >= least:
                self._tail, self._limit = start, limit
                return True
        return False

    def _grow(self, record: bytes, blocks: int) -> None:
        """Write the record at the end of the file, followed by zeros, so that later records find allocated blocks."""
        room = (spool.MOST_BYTES - self.held) // BLOCK - self._end
        if blocks > room:
            raise OSError(
                errno.ENOSPC, f"the outbox is full, with {self._end * BLOCK // 1024} KiB that no daemon has taken"
            )
        for spare in (min(self._end, _GROWTH, room - blocks), 0):  # without zeros when the disk is nearly full
            try:
                size = os.pwrite(self._file, record + bytes(spare * BLOCK), self._end * BLOCK)
            except OSError:
                if not spare:
                    raise
                continue
            if size >= len(record):
                self._tail = self._end
                self._end = self._limit = self._tail + size // BLOCK
                return
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _sync(self, sequence: int) -> None:
        with self._sync_lock:
            if self._synced >= sequence:
                return
            if self._synced < 0:
                raise OutboxLost(errno.EIO, "the disk failed to sync the outbox")
            written = self._written
            try:
                os.fdatasync(self._file)
            except OSError as error:
                self._synced = -1
                raise OutboxLost(error.errno, error.strerror) from error
            self._synced = max(self._synced, written)

    def unconfirmed_bodies(self) -> list[bytes]:
        """The bodies of unconfirmed records, as far as they can still be read."""
        try:
            found = [read_record(self._file, self._seed, first) for _, first, _ in self._waiting]
        except OSError:
            return []
        return [record.body for record in found if record]

    def close(self) -> None:
        """Close the file, which releases its lock: the daemon takes what is left in it, and deletes it."""
        self._daemon.close()
        os.close(self._file)
        if self._nested is not None:
            self._nested.close()


_outboxes: dict[str, Outbox] = {}


def outbox_in(folder: str) -> Outbox:
    """This process's outbox in a spool folder. Raises OSError."""
    found = _outboxes.get(folder)
    if found is None or found.pid != os.getpid():  # a fork that Python does not know of calls no hooks
        made = Outbox(folder)
        if found is not None:
            _outboxes.pop(folder, None)
        found = _outboxes.setdefault(folder, made)
        if found is not made:  # another thread, or a signal handler, was first
            made.close()
    return found


def append(folder: str, body: bytes, patience: float, *, synced: bool, only: str = "") -> str | None:
    """As `Outbox.append`, by this process's outbox in `folder`, or a new one where that was lost."""
    outbox = outbox_in(folder)
    try:
        return outbox.append(body, patience, synced=synced, only=only)
    except OutboxLost:
        replace(folder, outbox)
        return outbox_in(folder).append(body, patience, synced=synced, only=only)


def replace(folder: str, lost: Outbox) -> None:
    """Open another outbox in place of one that was lost, and append its unconfirmed records again. The descriptor of the lost one stays
    open, because other threads may still use it.
    """
    if _outboxes.get(folder) is lost:
        del _outboxes[folder]
        for body in lost.unconfirmed_bodies():
            outbox_in(folder).append(body, 0.0, synced=True)


def _forget() -> None:
    """In a forked child: close the copies of the parent's outboxes."""
    outboxes = list(_outboxes.values())
    _outboxes.clear()
    for outbox in outboxes:
        try:  # noqa: SIM105 - contextlib would be a third of what `import tocsin` costs
            outbox.close()
        except OSError:
            pass


os.register_at_fork(after_in_child=_forget)


def unconfirmed(folder: str) -> tuple[str, int] | None:
    """The id of this process's outbox in `folder` and its last record; None when that is confirmed, or there is none."""
    outbox = _outboxes.get(folder)
    return None if outbox is None else outbox.unconfirmed
