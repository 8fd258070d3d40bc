"""`background.WorkQueue`: bounds, flush, stop, and a thread that cannot be started."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.harness import PATIENCE

from tocsin.background import WorkQueue, own_queue


class Recording(WorkQueue):
    """Records each batch; `handle` waits for `go_on`."""

    def __init__(self, capacity: int = 100, batch: int = 100) -> None:
        super().__init__("test", capacity, batch)
        self.batches: list[list[Any]] = []
        self.stopped = threading.Event()
        self.started, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def handle(self, items: list[Any], *, flushing: bool) -> None:  # noqa: ARG002 - not needed here
        self.started.set()
        self.go_on.wait(PATIENCE)
        self.batches.append(items)

    def on_stop(self) -> None:
        self.stopped.set()


def blocked(queue: Recording) -> None:
    """Have the thread wait in `handle`, with one item."""
    queue.go_on.clear()
    assert queue.put("first")
    assert queue.started.wait(PATIENCE)


def test_work_queue_refuses_items_beyond_its_capacity() -> None:
    queue = Recording(capacity=3)
    blocked(queue)
    assert [queue.put("a", 2), queue.put("b", 2), queue.put("c", 1), queue.put("d", 1)] == [True, False, True, False]
    queue.go_on.set()
    assert queue.flush(PATIENCE)
    assert queue.batches == [["first"], ["a", "c"]]
    assert queue.put("larger than the capacity", 10)


def test_work_queue_handles_at_most_a_batch_at_once() -> None:
    queue = Recording(batch=2)
    blocked(queue)
    for item in range(5):
        queue.put(item)
    queue.go_on.set()
    assert queue.flush(PATIENCE)
    assert [batch for batch in queue.batches if batch] == [["first"], [0, 1], [2, 3], [4]]


def test_work_queue_flush_is_false_when_time_runs_out() -> None:
    queue = Recording()
    blocked(queue)
    assert not queue.flush(0.01)
    queue.go_on.set()
    assert queue.flush(PATIENCE)


def test_work_queue_starts_another_thread_after_stop() -> None:
    queue = Recording()
    queue.put("before")
    queue.stop()
    assert queue.stopped.wait(PATIENCE)
    queue.put("after")
    assert queue.flush(PATIENCE)
    assert [item for batch in queue.batches for item in batch] == ["before", "after"]


@pytest.mark.parametrize("caller_works", [True, False])
def test_work_queue_without_a_thread_is_handled_by_the_caller(
    caller_works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Recording()
    monkeypatch.setattr(queue, "caller_works", caller_works)
    monkeypatch.setattr(queue._thread, "start", lambda: False)
    queue.put("item")
    assert queue.batches == ([["item"]] if caller_works else [])
    assert queue.flush()
    assert queue.batches[0] == ["item"]


def test_own_queue_is_made_once_a_process() -> None:
    queues: dict[int, Recording] = {}
    assert own_queue(queues, Recording) is own_queue(queues, Recording)
    assert own_queue({0: Recording()}, Recording).pid != 0
