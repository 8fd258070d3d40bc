"""The format of an outbox: its head, its records, and the number that the daemon confirms. The note atop `outbox` describes them."""

from __future__ import annotations

import os
import time
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Record(NamedTuple):
        """One hand-off. `written` is in wall-clock seconds, `booted` in seconds since the machine booted; `end` is the block behind it."""

        sequence: int
        written: float
        booted: float
        body: bytes
        end: int
else:
    from collections import namedtuple

    Record = namedtuple("Record", "sequence written booted body end")  # noqa: PYI024 - importing typing costs more than all of this

BLOCK = 4096  # bytes; no disk's sector is larger, and no page of memory
FIRST = 2  # the first block of the records
FORMAT = b"tocsin outbox 1\n"
HEAD_BYTES = 32  # format and id
SUFFIX = ".outbox"
LARGEST = 1024 * 1024  # bytes of a record: a frame's worth of signals, with room
_RECORD_HEAD = 32  # bytes: checksum 4, length 4, sequence 8, nanoseconds of the wall clock 8, since the boot 8
_BOOT_BYTES = 128  # at most, of the boot's id
_PID_BYTES = 4  # after it; files of earlier versions have zero there


def pack(seed: int, sequence: int, body: bytes) -> bytes:
    """A record as whole blocks."""
    booted = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    head = len(body) | sequence << 32 | time.time_ns() << 96 | booted << 160
    rest = head.to_bytes(_RECORD_HEAD - 4, "little") + body
    record = crc32(rest, seed).to_bytes(4, "little") + rest
    return record.ljust(-(-len(record) // BLOCK) * BLOCK, b"\0")


def unpack(seed: int, raw: bytes, block: int) -> Record | None:
    """The record at the start of `raw`, which was read from `block`; None where there is no complete record."""
    length, sequence = int.from_bytes(raw[4:8], "little"), int.from_bytes(raw[8:16], "little")
    end = _RECORD_HEAD + length
    if not sequence or end > len(raw) or crc32(raw[4:end], seed) != int.from_bytes(raw[:4], "little"):
        return None
    written, booted = (int.from_bytes(raw[at : at + 8], "little") / 1e9 for at in (16, 24))
    return Record(sequence, written, booted, bytes(raw[_RECORD_HEAD:end]), block + -(-end // BLOCK))


def size_of(raw: bytes) -> int:
    """Bytes of the record whose first block begins with `raw`; 0 for what is none, as a block inside a record."""
    size = _RECORD_HEAD + int.from_bytes(raw[4:8], "little")
    return size if size <= LARGEST else 0


def read_record(file: int, seed: int, block: int) -> Record | None:
    """The record at this block of an outbox. Raises OSError."""
    raw = os.pread(file, BLOCK, block * BLOCK)
    size = size_of(raw)
    if size > BLOCK:
        raw += os.pread(file, size - BLOCK, (block + 1) * BLOCK)
    return unpack(seed, raw, block)


def read_confirmed(file: int) -> int:
    """The last sequence number that the daemon has committed. Raises OSError."""
    return int.from_bytes(os.pread(file, 8, BLOCK), "little")


def boot_id() -> str:
    """Identifies the boot of the machine and its boot clock (a container may have a clock of its own). Empty where that is unknown."""
    try:
        file = os.open(
            "/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC
        )  # `open` is gone when the interpreter closes
        try:
            boot = os.read(file, _BOOT_BYTES).decode("ascii").strip()
        finally:
            os.close(file)
        return f"{boot} {os.stat('/proc/self/ns/time').st_ino}"  # noqa: PTH116 - pathlib costs the client 3 ms at import
    except OSError:
        return ""


def head(id_: bytes) -> bytes:
    """The blocks before the first record of a new outbox of this process."""
    boot = boot_id().encode().ljust(_BOOT_BYTES, b"\0")
    return (FORMAT + id_ + boot + os.getpid().to_bytes(_PID_BYTES, "little")).ljust(FIRST * BLOCK, b"\0")


def read_pid(file: int) -> int:
    """The process that made an outbox, as it called itself; 0 where that is unknown. Raises OSError."""
    return int.from_bytes(os.pread(file, _PID_BYTES, HEAD_BYTES + _BOOT_BYTES), "little")


def read_boot(file: int) -> str:
    """The boot that an outbox was made in. Raises OSError."""
    return os.pread(file, _BOOT_BYTES, HEAD_BYTES).rstrip(b"\0").decode("ascii", "replace")
