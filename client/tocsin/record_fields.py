"""The fields that a program gives a log record: `extra={...}`, and what filters and adapters add to it. Read in the logging call.

A value becomes text, number or bool at once, by the reader that `send` uses (tocsin.values): the program may change the object afterwards,
and a queued record must not keep it in memory. Names that begin with `_` are those of libraries, and left out.
"""

from __future__ import annotations

import logging
from itertools import islice

from .lazy_import import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST = 20  # fields; a signal has room for 25
LONGEST = 250  # characters of a value: a queue of 1,000 records is to stay small
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",  # since Python 3.12
    "color_message",  # uvicorn's: the message again, with escape sequences
}


def record_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The first MOST fields of a record that are not logging's own, and how many more there are. Does not raise."""
    given = [
        (name, value) for name, value in vars(record).items() if name not in _OWN and not str(name).startswith("_")
    ]
    found = {str(name): _value(value) for name, value in islice(given, MOST)}
    if len(given) > MOST:
        found["…"] = f"and {len(given) - MOST:,} more"
    return found


def _value(value: Any) -> Any:
    """`value` in a plain type, cut to LONGEST. Text for NaN and infinity, which say something in a log."""
    values = lazy("tocsin.values")
    if value is None:
        return None
    try:
        read = values.field(value)
    except values.Absent:
        read = values.describe(value)
    return read if not isinstance(read, str) or len(read) <= LONGEST else read[: LONGEST - 1] + "…"
