"""Counts the signals that wait in the spool, for health and metrics while no daemon answers."""

from __future__ import annotations

import json
import os
import time
from zlib import crc32

from tocsin import paths
from tocsin.outbox_format import BLOCK, FIRST, FORMAT, HEAD_BYTES, SUFFIX, read_confirmed, read_record

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def spooled_signals(seconds: float) -> int | None:
    """The number of signals that no daemon has confirmed; zero where there is no spool. None where it is unknown: a file cannot be read, as
    those of other users in a shared spool, or reading takes longer than `seconds`.
    """
    end = time.monotonic() + seconds
    try:
        folder = paths.spool_folder()
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX) and name[0] != "."]  # noqa: PTH208 - names are all it takes
        return sum(_count(os.path.join(folder, name), end) for name in names)  # noqa: PTH118 - as above
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        return None


def _count(path: str, end: float) -> int:
    """The signals in one outbox. Raises OSError, ValueError."""
    try:
        file = os.open(path, _FILE)
    except FileNotFoundError:
        return 0  # a daemon has imported it
    try:
        seed = crc32(os.pread(file, HEAD_BYTES, 0)[: len(FORMAT) + 16])
        confirmed = read_confirmed(file)
        block, blocks, count = FIRST, os.fstat(file).st_size // BLOCK, 0
        while block < blocks:
            if time.monotonic() > end:
                raise TimeoutError
            record = read_record(file, seed, block)
            block = block + 1 if record is None else record.end
            if record is not None and record.sequence > confirmed:
                count += len(json.loads(record.body))
        return count
    finally:
        os.close(file)
