"""`tocsin.Handler`: what a program logs, handed to the daemon.

    logging.getLogger().addHandler(tocsin.Handler(level=logging.WARNING))

A logging call must cost what a logging call costs, so nothing here waits, and nothing raises:

    queue     `emit` turns a record into text and puts it into a bounded queue; a thread of ours, begun with the first record, hands over
    full      what finds the queue full is counted, and the count is told with the next that goes
    floods    the same message again and again (by logger, level and unformatted text) is told once, and its repetitions together, once a
              window: a loop that fails a thousand times a second is two alerts, not a thousand
    spool     a daemon that is away costs nothing either: the thread spools (tocsin.client)
    no echo   records of our own loggers, and whatever our thread may log, are not handed over
    fork      a child inherits the parent's queue but not its thread: it begins with an empty one of its own
    the end   `logging.shutdown`, which Python calls at exit, waits at most two seconds for what is still queued; so does the end of a
              child that multiprocessing forked, where Python calls nothing

The queue and the thread are next door in `worker`, the folding in `floods`.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

from .client import Client
from .worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
        self._new_worker: Callable[[], Worker] = lambda: Worker(self._client, capacity, window)
        self._worker = self._new_worker()
        self._gave_up = False  # the last flush took all the time it may have

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record. Never waits, never raises."""
        try:
            worker = self._own_worker()
            if record.name.partition(".")[0] != "tocsin" and not worker.is_me():
                worker.put((record.name, record.levelno, str(record.msg)), lambda: self._signal(record))
        except Exception:  # noqa: BLE001 - a foreign __str__, or an interpreter that is closing: no reason to hurt who logs
            self._worker.lost += 1

    def _signal(self, record: logging.LogRecord) -> dict[str, Any]:
        title, _, body = self.format(record).strip().partition("\n")
        return {
            "title": title or f"{record.levelname} without words",
            "body": body if len(body) <= _LONGEST else f"…{body[-_LONGEST:]}",
            "priority": next((word for level, word in _PRIORITIES if record.levelno >= level), "low"),
            "timestamp": record.created,
            "source": record.name,
            "fields": {"level": record.levelname, "where": f"{record.filename}:{record.lineno} {record.funcName}"},
            **self._fields,
        }

    def _own_worker(self) -> Worker:
        """This process's own: a parent's thread does not live on in its child."""
        if self._worker.pid != os.getpid():
            self._worker = self._new_worker()
            util = sys.modules.get("multiprocessing.util")
            if util is not None:
                util.Finalize(None, self.flush, exitpriority=0)
        return self._worker

    def flush(self) -> None:
        """Wait until what is queued was handed over, at most two seconds."""
        with suppress(Exception):  # the interpreter may be closing
            self._gave_up = not self._own_worker().flush()

    def close(self) -> None:
        """Hand over what is queued, and end the thread. A record after that begins another."""
        if not self._gave_up:  # at exit Python flushes and then closes, and we promised two seconds, not four
            self.flush()
        self._worker.stop()
        super().close()

    def __repr__(self) -> str:
        return f"<Handler {logging.getLevelName(self.level)} {self._client!r}>"
