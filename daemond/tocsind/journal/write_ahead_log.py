"""The write-ahead log, read without SQLite: to rebuild a database from a log of which SQLite would use only a part, or nothing.

Each frame's checksum continues from the one that is stored in the frame before it, so a flipped bit costs only its own frame: those behind
it can still be verified. A page whose frame is broken keeps its older content, and `row_recovery` reads what fits. The format is SQLite's
(sqlite.org/fileformat2.html, "The Write-Ahead Log").
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, salts, checksum
_FRAME = struct.Struct(">6I")  # page number, pages after a commit or 0, salts, checksum
_ORDERS = {0x377F0682: "<", 0x377F0683: ">"}  # by the magic number: the byte order of the checksums
_SIZES = frozenset(2**n for n in range(9, 17))
_PAGE_SIZE_AT, _MODES_AT, _FREE_PAGES_AT, _VALID_FOR_AT, _TREE_AT = (
    16,
    18,
    32,
    92,
    100,
)  # offsets in the first page of a database
_INTERIOR = 5  # the kind of page that leads to others


class _Frame(NamedTuple):
    page: int
    commit: int
    checksum: tuple[int, int]
    content: bytes
    is_whole: bool


def rebuild(database: Path, log: Path, target: Path, *, to_the_break: bool = False) -> int:
    """Write to `target` the database with all verified frames of the log. Returns how many frames could not be verified. Raises OSError.

    `database` and `log` may be missing. `target` is a database without a log. With `to_the_break` the commits before the first broken frame
    are written, and nothing behind it: an older database, whose pages belong together.
    """
    raw = log.read_bytes() if log.exists() else b""
    if database.exists():
        shutil.copyfile(database, target, follow_symlinks=False)
    else:
        target.write_bytes(b"")
    with target.open("r+b") as content:
        broken = _apply_all(raw, content, to_the_break=to_the_break)
        if content.seek(0, os.SEEK_END) > _VALID_FOR_AT + 4:
            _overwrite(content, _MODES_AT, b"\1\1")  # a mode without a log
            _overwrite(content, _VALID_FOR_AT, bytes(4))  # its length is that of the file
    return broken


def broken_frames(database: Path, log: Path) -> int:
    """How many frames of the log cannot be verified. Raises OSError."""
    if not log.exists():
        return 0
    raw = log.read_bytes()
    with database.open("rb") as content:
        size = _page_size(raw, content.read(_HEADER.size))
    return sum(not frame.is_whole for frame in _frames(raw, size)) if size else 0


def transplant(fresh: Path, target: Path) -> None:
    """Overwrite the list of tables in `target` with that of a fresh database of the same page size: the pages of its first tree."""
    source = fresh.read_bytes()
    size = int.from_bytes(source[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 2], "big")
    with target.open("r+b") as content:
        for page in _schema_pages(source, size):
            _overwrite(content, (page - 1) * size, source[(page - 1) * size : page * size])
        _overwrite(content, _FREE_PAGES_AT, bytes(8))
        _overwrite(content, _VALID_FOR_AT, bytes(4))


def _schema_pages(source: bytes, size: int) -> list[int]:
    """The first page, and those that it leads to: a fresh journal's list of tables is two levels deep at most."""
    kind, cells = source[_TREE_AT], int.from_bytes(source[_TREE_AT + 3 : _TREE_AT + 5], "big")
    if kind != _INTERIOR or size == 0:
        return [1]
    places = [_TREE_AT + 12 + 2 * number for number in range(cells)]
    starts = [int.from_bytes(source[place : place + 2], "big") for place in places]
    return [1, *(int.from_bytes(source[start : start + 4], "big") for start in (*starts, _TREE_AT + 8))]


def _apply_all(raw: bytes, content: BinaryIO, *, to_the_break: bool) -> int:
    """Write the pages of each commit; returns how many frames are broken."""
    size, broken = _page_size(raw, content.read(_HEADER.size)), 0
    waiting: dict[int, bytes] = {}
    for frame in _frames(raw, size) if size else ():
        broken += not frame.is_whole
        if to_the_break and broken:
            break
        if frame.is_whole:
            waiting[frame.page] = frame.content
            if frame.commit:
                _apply(content, waiting, size, frame.commit)
                waiting = {}
    return broken


def _apply(content: BinaryIO, pages: dict[int, bytes], size: int, count: int) -> None:
    for page, data in pages.items():
        if 0 < page <= count:
            _overwrite(content, (page - 1) * size, data)
    content.truncate(count * size)


def _overwrite(content: BinaryIO, at: int, data: bytes) -> None:
    content.seek(at)
    content.write(data)


def _page_size(raw: bytes, content: bytes) -> int:
    """From the log's header, or where that is broken from the database's; 0: from neither."""
    known = int.from_bytes(content[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 2], "big")
    said = _HEADER.unpack_from(raw)[2] if len(raw) >= _HEADER.size else 0
    return next((size for size in (65536 if known == 1 else known, said) if size in _SIZES), 0)


def _frames(raw: bytes, size: int) -> Iterator[_Frame]:
    """The frames of the log's current lap, whole or broken; those of an earlier lap have other salts."""
    if len(raw) < _HEADER.size:
        return
    header = _HEADER.unpack_from(raw)
    starts = range(_HEADER.size, len(raw) - _FRAME.size - size + 1, _FRAME.size + size)
    heads = [_FRAME.unpack_from(raw, start) for start in starts]
    salts = _salts(header, heads)
    before, order = header[6:8], _order(header[0])
    for start, head in zip(starts, heads, strict=True):
        if head[2:4] == salts:
            content = raw[start + _FRAME.size : start + _FRAME.size + size]
            found = _checksum(raw[start : start + 8] + content, before, order)
            yield _Frame(head[0], head[1], head[4:6], content, found == head[4:6])
            before = head[4:6]


def _order(magic: int) -> str:
    """The byte order by the header; else this machine's."""
    return _ORDERS.get(magic, "<" if sys.byteorder == "little" else ">")


def _salts(header: tuple[int, ...], heads: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The header's, unless no frame has them: then those of the first frames."""
    found = Counter(head[2:4] for head in heads)
    return header[4:6] if header[4:6] in found or not found else heads[0][2:4]


def _checksum(data: bytes, before: tuple[int, ...], order: str) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for place in range(0, len(words), 2):
        first = (first + words[place] + second) & 0xFFFFFFFF
        second = (second + words[place + 1] + first) & 0xFFFFFFFF
    return first, second
