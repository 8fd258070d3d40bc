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
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from .client import Client
from .floods import Floods

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

CAPACITY = 1000  # records; about a megabyte
FLUSH_SECONDS = 2.0
WINDOW = 10.0  # seconds that a repetition is counted for before it is told
TIMEOUT = 0.5  # seconds for a hand-off: with a hung daemon the end waits for the one that is under way and those of a full queue
_BATCH = 500  # so that a full queue is two hand-offs
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


class Worker:
    """One process's queue, and the thread that empties it."""

    def __init__(self, client: Client, capacity: int, window: float) -> None:
        self.pid = os.getpid()
        self.lost = 0  # records that nobody will be told of, since that was last said
        self._client = client
        self._capacity = capacity
        self._floods = Floods(window)
        self._queue: SimpleQueue[dict[str, Any] | threading.Event | None] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may log, too
        self._thread: threading.Thread | None = None

    def is_me(self) -> bool:
        """Whether it is our own thread that asks."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def put(self, key: Hashable, make: Callable[[], dict[str, Any]]) -> None:
        """Queue what `make` makes, unless it is one more of the same, or there is no room."""
        with self._lock:
            flood = self._floods.begin(key, time.monotonic())
        if flood is None:
            return
        if self._queue.qsize() >= self._capacity:
            self.lost += 1
            return
        flood.first = make()
        self._queue.put(flood.first)
        self._begin()

    def flush(self) -> bool:
        """Wait until all that is queued now was handed over, at most FLUSH_SECONDS; False when it was not by then."""
        if self._thread is None and self._queue.empty():
            return True
        done = threading.Event()
        self._queue.put(done)
        if not self._begin():
            self._turn()  # no thread can be had any more
        return done.wait(FLUSH_SECONDS)

    def stop(self) -> None:
        """Let the thread end, and do not wait for it."""
        self._queue.put(None)
        self._client.close()

    def _begin(self) -> bool:
        """See to it that there is a thread; False when there cannot be."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="tocsin.Handler", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is closing, or there are too many
                    return False
                self._thread = thread
        return True

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Hand over what waits; False when that is the end."""
        items = self._waiting()
        asked = [item for item in items if isinstance(item, threading.Event)]
        batch = [item for item in items if isinstance(item, dict)]
        self._hand_over([*batch, *self._repetitions(at_once=bool(asked))])
        for event in asked:
            event.set()
        return None not in items

    def _waiting(self) -> list[dict[str, Any] | threading.Event | None]:
        """What is queued, after waiting for it, or for the end of a flood."""
        items: list[dict[str, Any] | threading.Event | None] = []
        with suppress(Empty):
            items.append(self._queue.get(timeout=self._floods.window if self._floods else None))
            while len(items) < _BATCH:
                items.append(self._queue.get_nowait())
        return items

    def _repetitions(self, *, at_once: bool) -> list[dict[str, Any]]:
        with self._lock:
            over = self._floods.over(time.monotonic(), all_of_them=at_once)
        return [_again(flood.first, flood.more, self._floods.window) for flood in over]

    def _hand_over(self, batch: list[dict[str, Any]]) -> None:
        lost, self.lost = self.lost, 0
        if lost:
            batch.append({"title": f"{lost} log records could not be told, or came too fast", "priority": "normal"})
        if batch:
            receipts = self._client.send_many(batch)
            self.lost += sum(not receipt.accepted for receipt in receipts)


def _again(first: dict[str, Any], more: int, window: float) -> dict[str, Any]:
    times = f"{more} more time{'s' if more > 1 else ''} within {window:g} s"
    return {**first, "title": f"{times}: {first.get('title', 'a message')}", "timestamp": time.time()}
