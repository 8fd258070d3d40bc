"""The window of a sender: its states one by one, and the journal's deliveries through all of them by chance."""

from __future__ import annotations

from math import inf

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from tests.policy.factories import delivery

from tocsind.policy.delivery import Delivery, Settlement, State
from tocsind.policy.window import Window

FIRST = -100
SENT = Settlement(State.SENT)
SIZE = 3


def deferred(seconds: float) -> Settlement:
    return Settlement(State.QUEUED, "503", wait=seconds)


def some(*numbers: int) -> list[Delivery]:
    return [replace(delivery(), number=number) for number in numbers]


def window_with(*numbers: int, size: int = SIZE) -> Window:
    window = Window(FIRST, size)
    window.begin_read()
    window.end_read(some(*numbers))
    return window


def offered(window: Window, now: float = 0.0, most: int = 100) -> list[int]:
    return [each.number for each in window.offers(most, now)]


def read(window: Window, *numbers: int) -> int:
    """Read a journal that holds these; the cursor that the window asked for."""
    cursor = window.begin_read()
    window.end_read(some(*[number for number in sorted(numbers) if number > cursor][:SIZE]))
    return cursor


# --- reading ----------------------------------------------------------------------------------------------------------


def test_window_reads_before_anything_has_happened() -> None:
    window = Window(FIRST, SIZE)
    assert window.should_read()
    assert not window.is_behind()
    assert window.begin_read() == FIRST


def test_window_reads_on_after_a_full_read_and_not_after_a_partial_one() -> None:
    assert not window_with(1, 2).should_read()
    full = window_with(1, 2, 3)
    assert not full.should_read()
    assert offered(full, most=1) == [1]
    assert full.should_read()
    assert full.begin_read() == 3


def test_window_is_behind_from_wake_until_the_read_has_ended() -> None:
    window = window_with(1)
    window.wake()
    assert (window.is_behind(), window.should_read()) == (True, True)
    assert window.begin_read() == 1
    assert (window.is_behind(), window.should_read()) == (True, False)
    window.end_read([])
    assert (window.is_behind(), window.should_read()) == (False, False)


def test_window_reads_again_when_woken_during_a_read() -> None:
    window = window_with(1)
    window.begin_read()
    window.wake()
    window.end_read([])
    assert window.should_read()


def test_window_without_room_is_not_behind() -> None:
    window = window_with(1, 2, 3)
    window.wake()
    assert (window.is_behind(), window.should_read()) == (False, False)


def test_window_counts_reads_and_new_deliveries() -> None:
    window = window_with(1, 2)
    window.rewind()
    assert window.begin_read() == FIRST
    assert [each.number for each in window.end_read(some(1, 2, 4))] == [4]
    assert (window.reads, offered(window)) == (2, [1, 2, 4])


def test_rewind_reads_from_the_beginning_once() -> None:
    window = window_with(5)
    window.rewind()
    assert read(window, 5) == FIRST
    window.wake()
    assert read(window, 5) == 5


# --- sending ----------------------------------------------------------------------------------------------------------


def test_offers_stay_until_they_are_taken() -> None:
    window = window_with(1, 2)
    assert offered(window) == offered(window) == [1, 2]
    window.take({1})
    assert offered(window) == [2]


def test_taken_delivery_is_not_read_again_before_it_is_settled() -> None:
    window = window_with(1)
    window.take({1})
    window.rewind()
    read(window, 1)
    assert offered(window) == []


def test_deferred_delivery_is_offered_in_its_old_place_when_due() -> None:
    window = window_with(1, 2)
    (first, _) = window.offers(2, 0.0)
    window.take({1})
    window.requeue(first, deferred(10.0), 0.0)
    assert (offered(window, 9.9), window.next_due()) == ([2], 10.0)
    assert (offered(window, 10.0), window.next_due()) == ([1, 2], inf)


def test_deferred_delivery_carries_what_the_settlement_says() -> None:
    window = window_with(1)
    (one,) = window.offers(1, 0.0)
    window.take({1})
    window.requeue(
        one, replace(deferred(0.0), maybe_duplicate=True, unknown_count=2, plain_format=True, max_batch=4), 0.0
    )
    (retry,) = window.offers(1, 0.0)
    assert (retry.maybe_duplicate, retry.unknown_count, retry.plain_format, retry.max_batch) == (True, 2, True, 4)


def test_window_full_of_deferred_deliveries_offers_no_buffered_one() -> None:
    window = window_with(1, 2, 3)
    for each in window.offers(SIZE, 0.0):
        window.take({each.number})
        window.requeue(each, deferred(10.0 + each.number), 0.0)
    window.wake()
    read(window, 4)
    assert offered(window) == []
    assert offered(window, 11.0) == [1, 4]


def test_recovery_makes_all_deferred_deliveries_due_in_batches_of_any_size() -> None:
    window = window_with(1)
    (one,) = window.offers(1, 0.0)
    window.requeue(one, replace(deferred(99.0), max_batch=1), 0.0)
    window.retry_deferred_now(5.0)
    (retry,) = window.offers(1, 5.0)
    assert (retry.number, retry.max_batch) == (1, None)


def test_recovery_without_deferred_deliveries_makes_nothing_due() -> None:
    window = window_with()
    window.retry_deferred_now(5.0)
    assert window.next_due() == inf


def test_settled_and_unclaimed_deliveries_are_read_again_after_a_rewind() -> None:
    window = window_with(1, 2)
    window.take({1, 2})
    (one, two) = some(1, 2)
    window.requeue(one, SENT, 0.0)
    window.forget(two.number)
    assert window.is_empty()
    window.rewind()
    read(window, 1, 2)
    assert offered(window) == [1, 2]


def test_buffered_delivery_settled_with_another_is_not_offered() -> None:
    window = window_with(1, 2)
    window.requeue(some(2)[0], SENT, 0.0)
    assert offered(window) == [1]


def test_delivery_deferred_without_a_read_stays_in_the_journal_until_due() -> None:
    window = window_with()
    window.requeue(some(7)[0], deferred(10.0), 0.0)
    assert (window.is_empty(), window.next_due()) == (False, 10.0)
    window.wake()
    read(window, 7)
    assert offered(window, 9.0) == []
    assert offered(window, 10.0) == []
    assert window.should_read()
    assert read(window, 7) == FIRST
    assert offered(window, 10.0) == [7]


def test_removed_deliveries_are_gone_from_every_state() -> None:
    window = window_with(1, 2, 3)
    (first, *_) = window.offers(2, 0.0)
    window.take({1})
    window.requeue(first, deferred(1.0), 0.0)
    window.remove({1, 2, 3})
    assert window.is_empty()
    assert offered(window, 99.0) == []


def test_repr_counts_the_states() -> None:
    window = window_with(1, 2, 3)
    window.offers(1, 0.0)
    assert repr(window) == "<Window cursor=3 buffered=2 queued=1 deferred=0 known=3 left=0>"


# --- by chance --------------------------------------------------------------------------------------------------------


class WindowOnJournal(RuleBasedStateMachine):
    """A journal in memory, whose every change is announced to the window as the daemon announces it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.window = Window(FIRST, SIZE)
        self.queued: set[int] = set()  # in the journal
        self.in_flight: list[Delivery] = []
        self.settled: list[int] = []
        self.due: dict[int, float] = {}  # deferred while it was in memory
        self.found: list[Delivery] | None = None
        self.next_number = 1

    @rule()
    def accept(self) -> None:
        self.queued.add(self.next_number)
        self.next_number += 1
        self.window.wake()

    @precondition(lambda self: self.window.should_read())
    @rule()
    def begin_read(self) -> None:
        cursor = self.window.begin_read()
        self.found = some(*[number for number in sorted(self.queued) if number > cursor][:SIZE])

    @precondition(lambda self: self.found is not None)
    @rule()
    def end_read(self) -> None:
        self.window.end_read(self.found or [])
        self.found = None

    @precondition(lambda self: not self.in_flight)
    @rule(most=st.integers(1, 4))
    def load(self, most: int) -> None:
        batch = self.window.offers(most, self.now)
        numbers = {each.number for each in batch}
        assert len(numbers) == len(batch) <= most
        assert all(self.due.get(number, 0.0) <= self.now for number in numbers)
        self.window.take(numbers)
        self.in_flight = [each for each in batch if each.number in self.queued]
        for number in numbers - self.queued:
            self.window.forget(number)
        self.queued -= numbers

    @precondition(lambda self: self.in_flight)
    @rule(wait=st.none() | st.floats(0.0, 20.0))
    def settle(self, wait: float | None) -> None:
        for each in self.in_flight:
            self._settle(each, wait)
        self.in_flight = []

    def _settle(self, each: Delivery, wait: float | None) -> None:
        self.due.pop(each.number, None)
        if wait is None:
            self.window.requeue(each, SENT, self.now)
            self.settled.append(each.number)
        else:
            self.queued.add(each.number)
            self.due[each.number] = self.now + wait
            self.window.requeue(each, deferred(wait), self.now)
            if each.number in self.window._left:
                del self.due[each.number]  # the window reads these early when another one is due

    @precondition(lambda self: self.queued)
    @rule(data=st.data(), wait=st.none() | st.floats(0.0, 20.0))
    def settle_with_another(self, data: st.DataObject, wait: float | None) -> None:
        """A live message carries a delivery that waits in any state."""
        number = data.draw(st.sampled_from(sorted(self.queued)))
        self.queued.discard(number)
        self._settle(some(number)[0], wait)

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """The operator drops a delivery; the window is not told."""
        self.queued.discard(data.draw(st.sampled_from(sorted(self.queued))))

    @precondition(lambda self: self.settled)
    @rule()
    def retry(self) -> None:
        """The operator requeues a settled delivery."""
        self.queued.add(self.settled.pop())
        self.window.rewind()

    @precondition(lambda self: self.queued)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        numbers = data.draw(st.sets(st.sampled_from(sorted(self.queued)), max_size=3))
        self.queued -= numbers
        for number in numbers:
            self.due.pop(number, None)
        self.window.remove(numbers)

    @rule()
    def recover(self) -> None:
        self.window.retry_deferred_now(self.now)
        self.due.clear()

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def each_delivery_is_in_one_state(self) -> None:
        window = self.window
        held = [each.number for each in (*window._buffered, *window._queued, *(each for _, each in window._deferred))]
        assert len(held) == len(set(held))
        assert set(held) <= window._known
        assert not window._known & window._left or self.in_flight

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.window._buffered) < 2 * SIZE

    def teardown(self) -> None:
        """Whatever has happened, everything that is queued is sent, and the window is empty."""
        if self.found is not None:
            self.end_read()
        self.settle(None)
        for _ in range(20 * self.next_number):
            if self.window.should_read():
                self.begin_read()
                self.end_read()
            self.load(4)
            self.settle(None)
            if self.window.next_due() < inf:
                self.now = max(self.now, self.window.next_due())
        assert self.queued == set()
        assert self.window.is_empty()


TestWindowOnJournal = WindowOnJournal.TestCase
