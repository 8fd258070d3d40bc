"""The spool folder, by blocking system calls: call them in a thread. Every path is relative to the folder's descriptor."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tocsin import disk_errors
from tocsin.daemon_lock import DAEMON
from tocsin.outbox_format import SUFFIX
from tocsin.spool import MOST_BYTES, QUARANTINE, check_safe, open_folder

from . import outboxes
from .old_files import FILE_NAME, MAX_FILE_BYTES, SpoolFile, parse
from .outboxes import NoOutbox, Outbox, Reading, Sequences

MOST_RECORDS = 512  # of several outboxes in one commit, and
MOST_BODIES = 512 * 1024  # bytes of them
MOST_AT_ONCE = 2 * 2**20  # bytes of several old files, held in memory
MOST_QUARANTINED = 1000  # files; further ones stay where they are
UNFINISHED_SECONDS = 3600.0  # after them the process that was writing the file has ended
_REASON = ".why"  # beside each file in quarantine
_LONGEST_REASON = 500  # characters
_LONGEST_PUBLISHED = 256  # bytes, in the file that clients read
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

FileState = tuple[
    int, int, int
]  # inode, modification time in nanoseconds, size: an unreadable file is read again when they differ


class SpoolUnusable(Exception):  # noqa: N818 - names the condition
    """The folder cannot be trusted, or not used; the text says why."""


class SpoolStats(msgspec.Struct, frozen=True):
    """The numbers of waiting files and of files in quarantine, and the reason of the latest of those."""

    waiting: int
    quarantined: int
    reason: str | None


class ScanResult(msgspec.Struct, frozen=True):
    """The result of one scan of several outboxes: their records, the deleted ones, and the files that are no outbox, with the reason."""

    readings: list[Reading]
    vanished: list[str]
    bad: dict[str, str]
    left: list[str]  # not read: the others filled one commit


class Folder:
    """One spool folder. Each call opens it again, since it may be deleted, created and changed at any time. All raise SpoolUnusable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claim = -1
        self._reason: str | None = None
        self._unreadable: dict[str, FileState] = {}
        self._copied: dict[str, int] = {}  # inodes of files held open by programs, with a copy in quarantine

    @property
    def place(self) -> dict[str, str | int] | None:
        """The folder, for clients: its path, and device and inode, by which a client recognizes it. Raises nothing."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return {"path": str(self.path.absolute()), "device": found.st_dev, "inode": found.st_ino}

    def prepare(self) -> None:
        """Create the folder when there is none, and publish the file that shows clients that a daemon runs."""
        with self._opened() as place:
            self._publish(place)

    def publish_reason(self, reason: str | None) -> None:
        """Publish for clients why nothing is imported; None when records are. Writes a changed reason only: the kernel reports each write
        to the watch on this folder, so a turn that wrote would start the next one.
        """
        if reason == self._reason:
            return
        self._reason = reason
        if self._claim >= 0:
            with contextlib.suppress(OSError):  # the disk fails: the journal reports that, and the daemon stops
                os.pwrite(self._claim, _published(reason), 0)

    def close(self) -> None:
        """Remove the file that shows that a daemon runs."""
        if self._claim >= 0:
            with contextlib.suppress(SpoolUnusable, OSError), self._opened() as place:
                if _is_same(place, DAEMON, self._claim):
                    os.unlink(DAEMON, dir_fd=place)
            os.close(self._claim)
            self._claim = -1

    def _publish(self, place: int) -> None:
        """Hold the lock of `.daemon`. Each start creates a new file: a process that opened the old one cannot have locked the new one."""
        if self._claim >= 0 and _is_same(place, DAEMON, self._claim):
            return
        name = f"{DAEMON}.{os.urandom(4).hex()}"
        claim = os.open(name, _NEW, 0o644, dir_fd=place)
        os.fchmod(claim, 0o644)  # whatever the umask
        os.pwrite(claim, _published(self._reason), 0)  # in full length, so that any other reason fits on a full disk
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(name, DAEMON, src_dir_fd=place, dst_dir_fd=place)
        if self._claim >= 0:
            os.close(self._claim)
        self._claim = claim

    def names(self, now: float) -> tuple[list[str], list[str]]:
        """Outboxes, and files of earlier versions, oldest first. Deletes unfinished files that are old at `now` (Unix time)."""
        listed: list[tuple[float, str]] = []
        unreadable: dict[str, FileState] = {}
        with self._opened() as place, os.scandir(place) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    found = file.stat(follow_symlinks=False)
                    if file.name.startswith("."):
                        _delete_unfinished(place, file.name, found, now)
                    elif self._unreadable.get(file.name) == _file_state(found):
                        unreadable[file.name] = _file_state(found)
                    elif file.name.endswith((SUFFIX, FILE_NAME)) and not stat.S_ISDIR(found.st_mode):
                        listed.append((found.st_mtime, file.name))
        ordered = [name for _, name in sorted(listed)]
        self._unreadable = unreadable
        self._copied = {name: self._copied[name] for name in ordered if name in self._copied}
        return [name for name in ordered if name.endswith(SUFFIX)], [
            name for name in ordered if name.endswith(FILE_NAME)
        ]

    def scan(self, names: Sequence[str], known: dict[str, Outbox], sequences: Sequences) -> ScanResult:
        """The next records of each of these outboxes."""
        scanned = ScanResult([], [], {}, [])
        room, bodies = MOST_RECORDS, MOST_BODIES
        with self._opened() as place:
            for name in names:
                if room <= 0 or bodies <= 0:
                    scanned.left.append(name)
                    continue
                try:
                    if name in self._unreadable and self._is_unchanged(place, name):
                        continue
                    reading = outboxes.read(place, name, known.get(name), sequences)
                    scanned.readings.append(reading)
                    room -= len(reading.records)
                    bodies -= sum(len(record.body) for record in reading.records)
                except FileNotFoundError:
                    scanned.vanished.append(name)
                except NoOutbox as reason:
                    scanned.bad[name] = str(reason)
        return scanned

    def _is_unchanged(self, place: int, name: str) -> bool:
        return self._unreadable.get(name) == _file_state(os.stat(name, dir_fd=place, follow_symlinks=False))

    def confirm(self, readings: Sequence[Reading]) -> None:
        """After the commit of these records: confirm them, and delete the outboxes whose owners have exited."""
        with self._opened() as place:
            for reading in readings:
                with contextlib.suppress(OSError):  # its owner has deleted it, and waits for no confirmation
                    if reading.is_over:
                        outboxes.delete(place, reading.after)
                    elif reading.records:
                        outboxes.confirm(place, reading.after)

    def read_old_files(self, names: Sequence[str], now: float) -> list[SpoolFile]:
        """Read the first of these files of earlier versions, as many as fit into memory. A deleted file has no signals."""
        files: list[SpoolFile] = []
        room = MOST_AT_ONCE
        with self._opened() as place:
            for name in names:
                size, file = _read_old_file(place, name, now)
                files.append(file)
                room -= size
                if room <= 0:
                    break
        return files

    def delete(self, names: Sequence[str]) -> None:
        """Delete files whose signals are committed."""
        with self._opened() as place:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)

    def put_aside(self, name: str, reason: str, now: float) -> str | None:
        """Move a file that is no outbox into quarantine; its name there. A file that is still being created stays: None.

        A file that a program holds open stays until the program exits, and a copy of it goes into quarantine once: moved, it would take
        along what the program still writes, and a later version of the daemon could not import it.
        """
        with self._opened() as place, contextlib.suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
            if found.st_size and outboxes.is_held(place, name):
                return None if self._copied.get(name) == found.st_ino else self._copy_held(name, found.st_ino, reason)
            self._unreadable[name] = _file_state(found)
            if found.st_size and not stat.S_ISDIR(found.st_mode):
                return self.quarantine(name, reason)
            if abs(now - found.st_mtime) > UNFINISHED_SECONDS and not found.st_size:
                os.unlink(name, dir_fd=place)
        return None

    def _copy_held(self, name: str, inode: int, reason: str) -> str:
        copied = self.quarantine(name, reason, copy=True)
        self._copied[name] = inode
        return copied

    def quarantine(self, name: str, reason: str, *, copy: bool = False) -> str:
        """Move a file, or a copy of it, into quarantine under a free name, with the reason beside it; that name."""
        with self._opened() as place, _quarantine(place) as aside:
            if len(os.listdir(aside)) >= 2 * MOST_QUARANTINED:  # noqa: PTH208 - a descriptor has no path
                self._unreadable[name] = _file_state(os.stat(name, dir_fd=place, follow_symlinks=False))
                raise SpoolUnusable(
                    f"{self.path / QUARANTINE} holds {MOST_QUARANTINED} files: look at them, and delete them"
                )
            put = _free_name(aside, name)
            if copy:
                _copy(place, name, aside, put)
            else:
                os.rename(name, put, src_dir_fd=place, dst_dir_fd=aside)
            with os.fdopen(os.open(put + _REASON, _NEW, 0o600, dir_fd=aside), "wb") as why:
                why.write(f"{reason[:_LONGEST_REASON]}\n".encode("utf-8", "replace"))
            return put

    def stats(self, waiting: int) -> SpoolStats:
        """Numbers for the status. `waiting` is the number of outboxes that wait."""
        with self._opened() as place, _quarantine(place) as aside:
            with os.scandir(place) as files:
                old_files = sum(
                    each.name.endswith(FILE_NAME) and each.name[0] != "." and not each.is_dir(follow_symlinks=False)
                    for each in files
                )
            held = sorted(name for name in os.listdir(aside) if not name.endswith(_REASON))  # noqa: PTH208 - as above
            return SpoolStats(waiting + old_files, len(held), _reason(aside, held) if held else None)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the folder; creates it when there is none. Every OSError in the block becomes SpoolUnusable."""
        try:
            place = open_folder(str(self.path))
            try:
                found = os.fstat(place)
                if found.st_uid not in (0, os.geteuid()):
                    raise SpoolUnusable(f"the spool belongs to uid {found.st_uid}, not to the daemon's user")
                check_safe(found)
                yield place
            finally:
                os.close(place)
        except OSError as error:
            raise SpoolUnusable(f"{self.path}: {disk_errors.reason(error, str(self.path))}") from error


def _published(reason: str | None) -> bytes:
    return (reason or "").encode()[:_LONGEST_PUBLISHED].ljust(_LONGEST_PUBLISHED, b"\0")


def _file_state(found: os.stat_result) -> FileState:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _is_same(place: int, name: str, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=place, follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False


def _read_old_file(place: int, name: str, now: float) -> tuple[int, SpoolFile]:
    """The size of a file and its signals. For a file that cannot or must not be read, `errors` has the reason."""
    try:
        with outboxes.opened(place, name) as (file, found):
            if found.st_size > MAX_FILE_BYTES:
                return 0, SpoolFile(
                    name, 0, 0, [], [f"it has {found.st_size} bytes; at most {MAX_FILE_BYTES} are read"]
                )
            content = os.read(file, found.st_size)
            return len(content), parse(name, content, (found.st_uid, found.st_gid), found.st_mtime, now)
    except FileNotFoundError:
        return 0, SpoolFile(name, 0, 0, [], [])
    except (NoOutbox, OSError) as error:
        return 0, SpoolFile(name, 0, 0, [], [str(error)])


@contextmanager
def _quarantine(place: int) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(QUARANTINE, 0o700, dir_fd=place)
    aside = os.open(QUARANTINE, _FOLDER, dir_fd=place)
    try:
        if os.fstat(aside).st_uid not in (0, os.geteuid()):
            raise SpoolUnusable(f"{QUARANTINE} in the spool belongs to another user")
        yield aside
    finally:
        os.close(aside)


def _free_name(aside: int, name: str) -> str:
    """`name` when it is short, printable and free in quarantine; else a random one."""
    taken = os.listdir(aside)
    if len(name) <= 80 and name.isprintable() and name not in taken and not name.endswith(_REASON):
        return name
    return f"{os.urandom(8).hex()}{SUFFIX if name.endswith(SUFFIX) else FILE_NAME}"


def _copy(place: int, name: str, aside: int, put: str) -> None:
    with outboxes.opened(place, name) as (file, _), os.fdopen(os.open(put, _NEW, 0o600, dir_fd=aside), "wb") as copy:
        at = 0
        while at < MOST_BYTES and (chunk := os.pread(file, 2**20, at)):
            at += copy.write(chunk)


def _reason(aside: int, held: Sequence[str]) -> str | None:
    """The reason of the latest file in quarantine."""
    with contextlib.suppress(OSError):
        latest = max(held, key=lambda name: os.stat(name, dir_fd=aside, follow_symlinks=False).st_ctime_ns)
        with outboxes.opened(aside, latest + _REASON) as (why, _):
            return os.read(why, 4 * _LONGEST_REASON).decode("utf-8", "replace").strip()
    return None


def _delete_unfinished(place: int, name: str, found: os.stat_result, now: float) -> None:
    if name != DAEMON and abs(now - found.st_mtime) > UNFINISHED_SECONDS:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=place)
