"""What reaches the journal's thread, and what it takes up next.

The thread sleeps in one place, on everything it could be wanted for: jobs from the loop, which ring a bell, and the sockets of guests,
which are lent to it. A guest's frames are read here, and not on the loop, because waking a second thread costs as much as half a commit:
on the way from a caller to the disk and back there is then one thread to wake, as with the plainest server that one could write.

A group is what waits at one moment, and shares one sync. Patient jobs (what lanes write down about their sends, what was promised by the
redo log, signals whose senders do not wait) are held back while hand-offs come one upon the other: after RIPE they are done behind the
next hand-off's answer, after ALONE in any case. So they cost few callers a commit, and nobody more than ALONE; when hand-offs do not come
one upon the other, they are done at once.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from .askers import Asker, Haste

MOST_JOBS = 256  # a transaction stays short, so that an URGENT job never waits behind a thousand others
MOST_GUESTS = 64  # heard for one group; the kernel tells of the others next time
RIPE = 0.008  # seconds after which a patient job is done behind a hand-off; at 2 ms a commit met every 7th caller, and not every 25th
ALONE = 0.01  # and after which it is done in any case
CLOSE_UPON = 0.001  # whoever asks so soon after the last answer
EXPECTED = 0.01  # is expected again within this
LATER = 1.0  # seconds until something is tried again that a full disk refused
HALF = (
    0.02  # seconds that the rest of a frame may take before its guest goes back to the loop, where deadlines are kept
)


class Guest(Protocol):
    """A socket that is lent to the journal's thread."""

    half: bool  # a frame has begun and not ended
    full: bool  # there is more to do than one group may hold

    def fileno(self) -> int:
        """Of the socket."""

    def hear(self) -> Sequence[Asker]:
        """Read what is there; what follows from it, in order."""

    def go(self) -> Asker:
        """End the visit; the asker takes the guest home."""


class Inbox:
    """Jobs and guests. `put`, `lend` and `take_back` are for any thread, the rest is for the journal's own."""

    def __init__(self) -> None:
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._bell, select.EPOLLIN)
        self._asked: deque[Asker | None] = deque()
        self._patient: deque[tuple[float, Asker]] = deque()
        self._guests: dict[int, Guest] = {}
        self._half: dict[Guest, float] = {}
        self._full: list[Guest] = []
        self._reminder: tuple[float, Asker] | None = None
        self._listening_since = 0.0
        self._expected_until = 0.0
        self._closing = False

    def put(self, asker: Asker | None) -> None:
        """A job for the next group; None ends it all."""
        self._asked.append(asker)
        os.eventfd_write(self._bell, 1)

    def postpone(self, asker: Asker) -> bool:
        """On the journal's thread: a patient job, where one would wait, or behind others that do; else it is not taken."""
        now = time.monotonic()
        if self._patient or now < self._expected_until:
            self._patient.append((now, asker))
            return True
        return False

    def remind(self, asker: Asker) -> None:
        """On the journal's thread: a job for later, unless it is done before."""
        self._reminder = (time.monotonic() + LATER, asker)

    def lend(self, guest: Guest) -> None:
        """From now on the guest is heard here."""
        self._guests[guest.fileno()] = guest
        self._epoll.register(guest.fileno(), select.EPOLLIN)

    def take_back(self, guest: Guest) -> None:
        """Hear the guest no more. From another thread: what was heard before is done when the next job has been answered."""
        if self._guests.pop(guest.fileno(), None) is not None:
            with suppress(OSError):
                self._epoll.unregister(guest.fileno())

    def close(self) -> None:
        """Nobody asks any more."""
        self._epoll.close()
        os.close(self._bell)

    def next_group(self) -> list[Asker]:
        """All that is due, at least one job; none when it is time to close."""
        self._listening_since = time.monotonic()
        while True:
            heard, now = self._listen()
            asked = self._asked_now(now) + self._reminded(now)
            group = self._ripe(now, self._needed_age(now, heard + asked)) + heard + asked
            if group or self._closing:
                return group

    def _listen(self) -> tuple[list[Asker], float]:
        """What guests ask at once, and when that was."""
        ready = self._epoll.poll(self._wait(), MOST_GUESTS)
        now = time.monotonic()
        heard: list[Asker] = []
        again, self._full = self._full, []
        for descriptor, _ in ready:
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
            elif guest := self._guests.get(descriptor):
                again.append(guest)
        for guest in dict.fromkeys(again):
            if self._is_here(guest):
                heard += self._hear(guest, now)
        if self._half:
            heard += self._sent_home(now)
        return heard, now

    def _hear(self, guest: Guest, now: float) -> list[Asker]:
        asked = guest.hear()
        if guest.full:
            self._full.append(guest)
        if guest.half:
            self._half.setdefault(guest, now)
        elif self._half:
            self._half.pop(guest, None)
        return [each for each in asked if self._is_for_now(each, now)]

    def _is_for_now(self, asker: Asker, now: float) -> bool:
        """Whether it joins this group; who asks for something here, and so soon, is expected again. One that only goes home does not."""
        if asker.haste is not Haste.URGENT and now - self._listening_since < CLOSE_UPON:
            self._expected_until = now + EXPECTED
        if asker.haste is Haste.PATIENT:
            self._patient.append((now, asker))
            return False
        return True

    def _sent_home(self, now: float) -> list[Asker]:
        slow = [guest for guest, since in self._half.items() if now - since > HALF]
        for guest in slow:
            del self._half[guest]
        return [guest.go() for guest in slow if self._is_here(guest)]

    def _is_here(self, guest: Guest) -> bool:
        """It may have gone home since we last looked at it."""
        return self._guests.get(guest.fileno()) is guest

    def _asked_now(self, now: float) -> list[Asker]:
        asked: list[Asker] = []
        while self._asked and len(asked) < MOST_JOBS:
            asker = self._asked.popleft()
            if asker is None:
                self._closing = True
            elif asker.haste is Haste.PATIENT:
                self._patient.append((now, asker))
            else:
                asked.append(asker)
        return asked

    def _reminded(self, now: float) -> list[Asker]:
        if self._reminder is None or now < self._reminder[0]:
            return []
        _, asker = self._reminder
        self._reminder = None
        return [asker]

    def _needed_age(self, now: float, group: Sequence[Asker]) -> float:
        """How long patient jobs must have waited to be done now."""
        if self._closing or len(self._patient) >= MOST_JOBS or any(each.haste is Haste.URGENT for each in group):
            return 0.0
        return RIPE if group else self._alone(now)

    def _ripe(self, now: float, age: float) -> list[Asker]:
        """All patient jobs, once the first of them has waited so long: one at a time they would come with every commit."""
        if not self._patient or now - self._patient[0][0] < age:
            return []
        ripe = [asker for _, asker in self._patient]
        self._patient.clear()
        return ripe

    def _alone(self, now: float) -> float:
        return ALONE if now < self._expected_until else 0.0

    def _wait(self) -> float | None:
        """Seconds to sleep at most."""
        if self._asked or self._full or self._closing:
            return 0.0
        now = time.monotonic()
        ends = [self._patient[0][0] + self._alone(now)] if self._patient else []
        if self._reminder:
            ends.append(self._reminder[0])
        if self._half:
            ends.append(min(self._half.values()) + HALF)
        return max(0.0, min(ends) - now) if ends else None
