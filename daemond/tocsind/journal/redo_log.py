"""The redo log of earlier versions: signals that a killed daemon had acknowledged and not committed are imported once, at the start.

A record begins on a block of its own: checksum (CRC-32, continued from the record before it, the first from the journal's salt), length,
number, and arrivals as MessagePack. Records up to `redo.applied` are in the tables already.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from tocsind.errors import CannotWrite

from .queue import append
from .records import Arrival

FILE_NAME = "journal.redo"
_BLOCK = 4096
_HEAD = struct.Struct("<IIQ")  # checksum, length of the arrivals, number of the record
_FORMAT = b"tocsin redo log, version 1"

_decode = msgspec.msgpack.Decoder(list[Arrival]).decode


def import_rest(folder: Path, connection: sqlite3.Connection) -> None:
    """Import the rest of the log, and delete it. Raises CannotWrite."""
    try:
        _import(folder / FILE_NAME, connection)
    except (sqlite3.Error, OSError) as error:
        raise CannotWrite(f"{folder / FILE_NAME} cannot be imported into the journal: {error}") from error


def _import(path: Path, connection: sqlite3.Connection) -> None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    salt, applied = connection.execute("SELECT salt, applied FROM redo").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    for number, arrivals in _records(raw, crc32(salt, crc32(_FORMAT))):
        if number > applied:
            append(connection, arrivals)
    connection.execute("COMMIT")
    path.unlink()


def _records(raw: bytes, checksum: int) -> Iterator[tuple[int, list[Arrival]]]:
    at = expected = 0
    while at + _HEAD.size <= len(raw):
        found, length, number = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + length
        checksum = crc32(raw[at + 4 : end], checksum)
        if checksum != found or end > len(raw) or number != (expected or number):
            return
        yield number, _decode(raw[at + _HEAD.size : end])
        at, expected = at + -(-(end - at) // _BLOCK) * _BLOCK, number + 1
