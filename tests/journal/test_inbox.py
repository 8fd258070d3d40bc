"""What the journal's thread takes up next. The thread is this test's own, so that nothing here is a matter of luck."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from tocsind.journal.askers import Asker, Haste
from tocsind.journal.inbox import ALONE, HALF, MOST_JOBS, Inbox


class Talker:
    """A guest that asks whatever it is told to, for each byte that comes."""

    def __init__(self, asks: Haste = Haste.HAND_OFF) -> None:
        self.end, self._mine = socket.socketpair()
        self.asks = asks
        self.half = False
        self.full = False
        self.went = asker(Haste.URGENT)

    def fileno(self) -> int:
        return self._mine.fileno()

    def hear(self) -> Sequence[Asker]:
        return [asker(self.asks) for _ in self._mine.recv(100)]

    def go(self) -> Asker:
        return self.went

    def close(self) -> None:
        self.end.close()
        self._mine.close()


def asker(haste: Haste) -> Asker:
    return Asker(lambda _: None, haste)


def expect_company(inbox: Inbox) -> None:
    """As if somebody had come right behind the last answer, and would for long."""
    inbox._expected_until = time.monotonic() + 3600


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with closing(Inbox()) as inbox:
        yield inbox


@pytest.fixture
def guest(inbox: Inbox) -> Iterator[Talker]:
    with closing(Talker()) as guest:
        inbox.lend(guest)
        yield guest


def test_a_patient_job_is_done_at_once_when_nobody_was_there(inbox: Inbox) -> None:
    patient = asker(Haste.PATIENT)
    inbox.put(patient)
    assert inbox.next_group() == [patient]


def test_a_fresh_patient_job_does_not_burden_a_hand_off_and_an_old_one_joins_it(inbox: Inbox, guest: Talker) -> None:
    expect_company(inbox)
    patient = asker(Haste.PATIENT)
    inbox.put(patient)
    guest.end.send(b"x")
    assert [each.haste for each in inbox.next_group()] == [Haste.HAND_OFF]
    time.sleep(ALONE)
    guest.end.send(b"x")
    assert inbox.next_group()[:1] == [patient]


def test_a_patient_job_does_not_wait_for_ever_for_company_that_does_not_come(inbox: Inbox) -> None:
    expect_company(inbox)
    patient = asker(Haste.PATIENT)
    inbox.put(patient)
    begun = time.monotonic()
    assert inbox.next_group() == [patient]
    assert time.monotonic() - begun >= ALONE


def test_who_asks_from_the_loop_sees_all_that_was_asked_before(inbox: Inbox, guest: Talker) -> None:
    expect_company(inbox)
    guest.asks = Haste.PATIENT  # whose sender has its receipt already
    guest.end.send(b"xx")
    urgent = asker(Haste.URGENT)
    inbox.put(urgent)
    group = inbox.next_group()
    assert [each.haste for each in group] == [Haste.PATIENT, Haste.PATIENT, Haste.URGENT]
    assert group[-1] is urgent


def test_patient_jobs_are_never_many(inbox: Inbox) -> None:
    expect_company(inbox)
    for _ in range(MOST_JOBS):
        inbox.put(asker(Haste.PATIENT))
    begun = time.monotonic()
    assert len(inbox.next_group()) == MOST_JOBS
    assert time.monotonic() - begun < ALONE or inbox._patient == []


def test_a_guest_with_more_to_say_is_heard_again_although_nothing_comes(inbox: Inbox, guest: Talker) -> None:
    guest.full = True
    guest.end.send(b"x")
    inbox.next_group()
    guest.full, guest.hear = False, lambda: [guest.went]  # type: ignore[method-assign]
    assert inbox.next_group() == [guest.went]


def test_half_a_frame_goes_home_when_the_rest_does_not_come(inbox: Inbox, guest: Talker) -> None:
    guest.half, guest.hear = True, list  # type: ignore[method-assign]
    guest.end.send(b"x")
    begun = time.monotonic()
    inbox._epoll.modify(guest.fileno(), 0)  # what it has said stays unread
    inbox._hear(guest, begun)
    assert inbox.next_group() == [guest.went]
    assert time.monotonic() - begun >= HALF


def test_who_was_taken_back_is_heard_no_more(inbox: Inbox, guest: Talker) -> None:
    inbox.take_back(guest)
    inbox.take_back(guest)
    guest.end.send(b"x")
    urgent = asker(Haste.URGENT)
    inbox.put(urgent)
    assert inbox.next_group() == [urgent]


def test_closing_does_first_what_was_asked_before(inbox: Inbox) -> None:
    expect_company(inbox)
    patient = asker(Haste.PATIENT)
    inbox.put(patient)
    inbox.put(None)
    assert inbox.next_group() == [patient]
    assert inbox.next_group() == []
