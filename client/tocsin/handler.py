"""`tocsin.Handler`: what a program logs, handed to the daemon.

    logging.getLogger().addHandler(tocsin.Handler(level=logging.WARNING))

A logging call must cost what a logging call costs, so nothing here waits, and nothing raises:

    queue     `emit` turns a record into text and puts it into a bounded queue; a thread of ours, begun with the first record, hands over
    full      what finds the queue full is counted, and the count is told with the next that goes
    floods    the same text again and again (of one logger and level) is told once, and its repetitions together, once a
              window: a loop that fails a thousand times a second is two alerts, not a thousand. Texts that differ are told each, but for
              the time that a formatter puts into them
    spool     a daemon that is away costs nothing either: the thread spools (tocsin.client)
    no echo   records of our own loggers, and whatever our thread may log, are not handed over
    fork      a child inherits the parent's queue but not its thread: it begins with an empty one of its own
    the end   of the program waits at most two seconds for what is still queued, whether `logging` still knows this handler or a
              `dictConfig` has cleared it (tocsin.at_exit); so does the end of a child of multiprocessing
    copies    a handler can be pickled and copied: what arrives has the same settings, and a queue, thread and connection of its own

The queue and the thread are next door in `worker`, the folding in `floods`.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from .client import Client
from .handler_queue import HandlerQueue
from .text_tail import tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CAPACITY = 1000  # records; about a megabyte
WINDOW = 10.0  # seconds that a repetition is counted for before it is told
TIMEOUT = 0.5  # seconds a hand-off: with a hung daemon the end waits for one that is under way and two of a full queue
_LONGEST = 4000  # characters of a body; a traceback's end is what matters
_PRIORITIES = ((logging.CRITICAL, "urgent"), (logging.ERROR, "high"), (logging.WARNING, "normal"))


class Handler(logging.Handler):
    """A logging handler. `fields` go into every signal: `tier`, `to`, `tags`, `strategy`.

    `socket`, `timeout` and `spool` are those of a Client; `capacity` is in records, `window` in seconds.
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
        self._gave_up = False  # the last flush took all the time it may have

    def filter(self, record: logging.LogRecord) -> Any:
        """As every handler's, and no echo. Here, because a handler that is being flushed is locked, and the thread must not wait for it."""
        if record.name.partition(".")[0] == "tocsin" or self._queue.is_own_thread():
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record. Never waits before the program ends, never raises."""
        try:
            text = self._formatted(record)
            self._own_queue().add(self._key(record, text), self._signal(record, text))
        except Exception:  # noqa: BLE001 - a foreign __str__, or an interpreter that is closing: no reason to hurt who logs
            self._queue.lost += 1

    def _formatted(self, record: logging.LogRecord) -> str:
        """The record's text; message and arguments side by side where they do not fit, or a formatter misses a field."""
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
            given = record.args if isinstance(record.args, tuple) else (record.args,)
            return " ".join(map(_shown, (record.msg, *given) if record.args else (record.msg,)))

    def _key(self, record: logging.LogRecord, text: str) -> tuple[object, ...]:
        """What records must have in common to be one flood."""
        if _tells_time(self.formatter):
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
            "fields": {"level": record.levelname, "where": f"{record.filename}:{record.lineno} {record.funcName}"},
            **self._fields,
        }

    def _new_queue(self) -> HandlerQueue:
        return HandlerQueue(self._client, self._capacity, self._window)

    def _own_queue(self) -> HandlerQueue:
        """This process's own: a parent's thread does not live on in its child."""
        if self._queue.pid != os.getpid():
            self._queue = self._new_queue()
        return self._queue

    def flush(self) -> None:
        """Wait until what is queued was handed over, at most two seconds."""
        with suppress(Exception):  # the interpreter may be closing
            self._gave_up = not self._own_queue().flush()

    def close(self) -> None:
        """Hand over what is queued, and end the thread. A record after that begins another."""
        if not self._gave_up:  # at exit Python flushes and then closes, and we promised two seconds, not four
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


def _tells_time(formatter: Any) -> bool:
    layout = str(getattr(formatter, "_fmt", ""))
    return any(word in layout for word in ("asctime", "created", "msecs", "relativeCreated"))


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__} that cannot be shown>"
