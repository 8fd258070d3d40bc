"""The queue of `tocsin.Handler`, whose thread hands records over and reports repetitions. A forked process needs another."""

from __future__ import annotations

import sys
import time

from . import at_exit
from .background import WorkQueue
from .dedup import MAX_VALUES, Repetition, Repetitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

    from .client import Client


class HandlerQueue(WorkQueue):
    """Signals of log records, of one process."""

    caller_works = False  # a logging call does not wait for a hand-off

    def __init__(self, client: Client, capacity: int, window: float) -> None:
        super().__init__("tocsin.Handler", capacity)
        self.lost = 0  # records that no signal reports, since the count was last handed over
        self._client = client
        self._repetitions = Repetitions(window)

    def is_own_thread(self) -> bool:
        """Whether the calling thread is the one behind this queue."""
        return self._thread.is_current()

    def add(self, key: Hashable, signal: dict[str, Any]) -> None:
        """Queue a signal, unless it repeats an earlier one (by `key`) or there is no room. Does not wait, until the program ends."""
        with self._lock:
            repetition = self._repetitions.add(key, signal, time.monotonic())
        if repetition is not None and self.put(repetition.first):
            return
        if repetition is not None:
            self._count(repetition)
        if at_exit.is_ending() or sys.is_finalizing():
            self.flush()

    def _count(self, repetition: Repetition) -> None:
        """No room: the record is reported with its repetitions, or only counted."""
        with self._lock:
            if repetition.watched:
                repetition.count(repetition.first)
            else:
                self.lost += 1

    def handle(self, items: list[Any], *, flushing: bool) -> None:
        """Hand over what is queued, all of it at once, and what was repeated."""
        batch = [*items, *self._repeated(all_of_them=flushing)]
        lost, self.lost = self.lost, 0
        if lost:
            batch.append({"title": f"{lost} log records could not be told, or came too fast", "priority": "normal"})
        if batch:
            receipts = self._client.send_many(batch)
            self.lost += sum(not receipt.accepted for receipt in receipts)

    def idle_seconds(self) -> float | None:
        """Until the window of a repetition may be over."""
        return self._repetitions.window if self._repetitions else None

    def is_idle(self) -> bool:
        """Nor is a repetition left to report."""
        return super().is_idle() and not self._repetitions.has_more()

    def on_stop(self) -> None:
        """Close the connection, which may wait for a daemon that hangs."""
        self._client.close()

    def _repeated(self, *, all_of_them: bool) -> list[dict[str, Any]]:
        with self._lock:
            over = self._repetitions.finished(time.monotonic(), all_of_them=all_of_them)
        return [_summary(each, self._repetitions.window) for each in over]


def _summary(repetition: Repetition, window: float) -> dict[str, Any]:
    """The signal that reports repetitions: how many, and the values that their fields had."""
    first, more = repetition.first, repetition.more
    times = f"{more} more time{'s' if more > 1 else ''} within {window:g} s"
    fields = {name: _values(found) for name, found in repetition.values.items()}
    title = f"{times}: {first.get('title', 'a message')}"
    return {**first, "title": title, "fields": fields, "timestamp": time.time()}


def _values(found: list[Any]) -> Any:
    """One value as it is, several as a list."""
    if len(found) == 1:
        return found[0]
    return ", ".join([*map(str, found[:MAX_VALUES]), *(["…"] if len(found) > MAX_VALUES else [])])
