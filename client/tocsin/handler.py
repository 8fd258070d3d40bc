"""`tocsin.Handler`: a logging handler that hands records to the daemon.

    logging.getLogger().addHandler(tocsin.Handler(level=logging.WARNING))

A logging call does not wait and does not raise:

    queue       `emit` formats the record and puts it into a bounded queue (handler_queue). A background thread hands the records over
    full        records that find the queue full are counted, and the next hand-off reports the count
    repetition  the same text of one logger and level is sent once, and the number of its repetitions once a window (dedup): a loop that
                fails a thousand times a second causes two alerts. A time that the formatter puts into the text makes no difference,
                nor do fields: the report shows the values that they had (handler_queue)
    fields      what the program gives a record in `extra` (record_fields), and where it was logged
    no daemon   the thread writes to the spool (tocsin.client)
    no echo     records of the loggers below `tocsin`, and those of the background thread, are not handed over
    fork        a child inherits the queue but not the thread, so it starts with an empty queue
    exit        the end of the program waits at most two seconds for queued records, also where `dictConfig` has removed this handler
                (tocsin.at_exit). So does the end of a child of multiprocessing
    copies      a handler can be pickled and copied. The copy has the same settings, and a queue, thread and connection of its own
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from .client import Client
from .handler_queue import HandlerQueue
from .record_fields import record_fields
from .text_tail import tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CAPACITY = 1000  # records; about a megabyte
WINDOW = 10.0  # seconds that repetitions are counted for before they are reported
TIMEOUT = 0.5  # seconds a hand-off: if the daemon hangs, the exit waits for one in progress and two for a full queue
_LONGEST = 4000  # characters of a body; of a longer one, such as a traceback, the end is kept
_PRIORITIES = ((logging.CRITICAL, "urgent"), (logging.ERROR, "high"), (logging.WARNING, "normal"))

_SAID_BY_PRIORITY = ((logging.CRITICAL, "CRITICAL"), (logging.ERROR, "ERROR"), (logging.WARNING, "WARNING"))


class Handler(logging.Handler):
    """A logging handler. `socket`, `timeout` and `spool` are those of a Client; `capacity` is in records, `window` in seconds.

    `fields` are fields of every signal, such as `tier`, `to`, `tags`, `strategy`.
    """

    def __init__(
        self,
        level: int | str = logging.WARNING,
        *,
        socket: str | None = None,
        timeout: float = TIMEOUT,
        spool: bool | str = True,
        capacity: int = CAPACITY,
        window: float = WINDOW,
        **fields: Any,
    ) -> None:
        super().__init__(level)
        self._client = Client(socket, timeout=timeout, spool=spool)
        self._fields = fields
        self._capacity = capacity
        self._window = window
        self._queue = self._new_queue()
        self._gave_up = False  # the last flush ran out of time

    def filter(self, record: logging.LogRecord) -> Any:
        """Reject records of tocsin itself. Done here because a handler is locked while it is flushed, and the thread must not wait."""
        if record.name.partition(".")[0] == "tocsin" or self._queue.is_own_thread():
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record. Does not raise, and does not wait before the program ends."""
        try:
            text = self._formatted(record)
            self._own_queue().add(self._key(record, text), self._signal(record, text))
        except Exception:  # noqa: BLE001 - a foreign __str__ raised, or the interpreter is closing
            self._queue.lost += 1

    def _formatted(self, record: logging.LogRecord) -> str:
        """The record's text; where it cannot be formatted, its message and arguments side by side."""
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
            given = record.args if isinstance(record.args, tuple) else (record.args,)
            return " ".join(map(_shown, (record.msg, *given) if record.args else (record.msg,)))

    def _key(self, record: logging.LogRecord, text: str) -> tuple[object, ...]:
        """The key of repetitions: logger, level and text, without the time that a formatter adds."""
        if _shows_time(self.formatter):
            timeless = logging.makeLogRecord({**record.__dict__, "created": 0.0, "msecs": 0.0, "relativeCreated": 0.0})
            text = self._formatted(timeless)
        return record.name, record.levelno, text

    def _signal(self, record: logging.LogRecord, text: str) -> dict[str, Any]:
        title, _, body = text.strip().partition("\n")
        return {
            "title": title or f"{record.levelname} without words",
            "body": tail(body, _LONGEST),
            "priority": next((word for level, word in _PRIORITIES if record.levelno >= level), "low"),
            "timestamp": record.created,
            "source": record.name,
            "host": os.uname().nodename,
            "code": True if body else None,  # what follows the first line is a traceback, or other output of a program
            **self._fields,
            "fields": self._fields_of(record),
        }

    def _fields_of(self, record: logging.LogRecord) -> Any:
        """The record's own fields, what the program gave it in `extra`, and this handler's `fields`, which win."""
        where = {"where": f"{record.filename}:{record.lineno} {record.funcName}"}
        given = self._fields.get("fields") or {}
        if not isinstance(given, dict):
            return given
        return {**_level(record, self._fields), **where, **record_fields(record), **given}

    def _new_queue(self) -> HandlerQueue:
        return HandlerQueue(self._client, self._capacity, self._window)

    def _own_queue(self) -> HandlerQueue:
        """This process's queue: a forked child has none of its parent's threads."""
        if self._queue.pid != os.getpid():
            self._queue = self._new_queue()
        return self._queue

    def flush(self) -> None:
        """Wait until the queued records are handed over, at most two seconds."""
        with suppress(Exception):  # the interpreter may be closing
            self._gave_up = not self._own_queue().flush()

    def close(self) -> None:
        """Hand over the queued records, and end the thread. A later record starts another thread."""
        if not self._gave_up:  # at exit Python flushes and then closes: that must take two seconds, not four
            self.flush()
        self._queue.stop()
        super().close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in {"lock", "_queue"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.createLock()
        self._queue = self._new_queue()

    def __repr__(self) -> str:
        return f"<Handler {logging.getLevelName(self.level)} {self._client!r}>"


def _level(record: logging.LogRecord, fields: dict[str, Any]) -> dict[str, str]:
    """The level as a field, where the priority does not say it."""
    is_said = (record.levelno, record.levelname) in _SAID_BY_PRIORITY and "priority" not in fields
    return {} if is_said else {"level": record.levelname}


def _shows_time(formatter: Any) -> bool:
    layout = str(getattr(formatter, "_fmt", ""))
    return any(word in layout for word in ("asctime", "created", "msecs", "relativeCreated"))


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__} that cannot be shown>"
