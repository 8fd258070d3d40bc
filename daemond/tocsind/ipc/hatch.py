"""The short way for hand-offs: they are read, stored and answered on the journal's own thread, and the loop hears of them afterwards.

A connection that waits for its next request visits the journal's thread (`Visitor`). A flawless hand-off is taken there and then. With
anything else (another request, a frame that is broken, slow or unusual, an intake that is closed, a peer that has gone or does not read)
the visitor goes home with what it has read: the loop does it the careful way, which defines what is right, and lends the connection here
again. So nothing stands here twice: no error is worded here but that of a disk which was found full in the very commit.

Where the microseconds of one hand-off go: medians of one caller with 300 bytes, nothing to deliver, on a virtual machine of two cores
that others used too, where the floor (blocking echo, write, fdatasync) took 150 and its fdatasync about 100. The whole took 306.

      caller     61    check, ULID, JSON 27; send 14; compare the answer, receipt 19. Hot it is 15
      wake-ups   50    of this thread and of the caller, as in the floor
      read        6    one recv
      decide     27    frame, decode, finiteness, route, the signal as MessagePack; hot 8
      promise    27    is the id new, pack, checksum; 9 of it the write
      sync      110    one block of the redo log
      answer     26    receipt, JSON, and 12 for the write that wakes the caller

    and behind the answer, beside the callers
      commit    730    for the 24 hand-offs of 8 ms together: 30 for each, one sync for all
      news       10    for each: facts and lanes, on the loop

Hot and cold differ by three because two processes and three threads take turns on two cores: what is left to win lies in fewer
instructions, not in fewer waits. What told most, in this order: to let the loop alone, which woken by every hand-off fought this thread
for the interpreter (80); to answer behind the redo log and not behind SQLite's commit (journal/redo, 110); to make no Signal of what is
only written down (15); to compare the answer instead of reading it (9); ids that are newer than all others need no look (8). A caller
without pause now meets a commit with every 25th hand-off and waits two to three milliseconds for that one: the price of the 99th
percentile for the median. Tried and left out, because it did not show: spinning instead of sleeping between two hand-offs, a shorter
switch interval of the interpreter, no garbage collection, the daemon on one core, O_DIRECT and O_DSYNC for the log (7 of 100), fewer
indexes and no trigger in the tables (nobody waits for them any more; together a fifth of what a row costs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from tocsin.signals import Receipt
from tocsin.wire import IN_MEMORY
from tocsind.dispatch import Dispatch
from tocsind.errors import StorageFull
from tocsind.journal import Asker, Haste, Order

from . import flawless
from .connection import Connection, Refusal
from .desk import MOST_SIGNALS, receipts
from .limits import Limits

Read = tuple[flawless.Form, bytes]  # what stands for a signal, and its fields as MessagePack
_MOST_FRAMES = 16  # of one peer in one commit


class _TheCarefulWay(Exception):  # noqa: N818 - a decision, not an accident
    """This is for the loop."""


class Hatch:
    """Where visitors go. Once it is closed, everybody is sent home with the next request."""

    def __init__(self, dispatch: Dispatch, limits: Limits) -> None:
        self.dispatch = dispatch
        self.is_open = True
        self._limits = limits
        self.unsynced = 0  # requests whose senders did not wait

    def may_be_early(self) -> bool:
        """Whether one more sender may go on before the disk has its signal."""
        return self.unsynced < self._limits.unsynced

    def admit(self, body: bytes) -> tuple[flawless.HandOff, list[Read]]:
        """The hand-off in a frame, and its signals. Raises _TheCarefulWay."""
        hand_off = flawless.read(body)
        if hand_off is None or len(hand_off.forms) > MOST_SIGNALS or not self.is_open or not self.dispatch.has_room():
            raise _TheCarefulWay
        return hand_off, [self._admit_one(form) for form in hand_off.forms]

    def _admit_one(self, form: flawless.Form) -> Read:
        signal = flawless.signal(form)
        if signal is None or (form.to and not self.dispatch.config.destinations.keys() >= set(form.to)):
            raise _TheCarefulWay
        return signal


class Visitor:
    """A connection on its visits to the journal's thread. `visit` is for the loop; `hear` and `go` are for the journal's thread."""

    def __init__(self, hatch: Hatch, connection: Connection) -> None:
        self._hatch = hatch
        self._journal = hatch.dispatch.journal
        self._connection = connection
        self._back = trio.Event()
        self._away = False
        self._error: BaseException | None = None
        self.half = False
        self.full = False

    def fileno(self) -> int:
        return self._connection.stream.socket.fileno()

    async def visit(self) -> None:
        """Return when there is something for the loop to do. A peer that is idle for too long is cancelled."""
        self._back = trio.Event()
        self._away = True
        self.half = self.full = False
        self._journal.lend(self)
        try:
            await self._until_back()
        finally:
            if not self._back.is_set():
                await self._journal.take_back(self)
            if self._connection.is_behind:
                self._connection.idle_since = None
                with trio.CancelScope(shield=True):  # a signal that was read gets its receipt, also while we leave
                    await self._connection.finish_reply()
        if self._error is not None:
            raise self._error

    async def _until_back(self) -> None:
        while not self._back.is_set():
            left = self._connection.idle_left()
            if left <= 0:
                self._connection.scope.cancel()
            with trio.move_on_after(max(left, 0.0)):
                await self._back.wait()

    def hear(self) -> Sequence[Asker]:
        """Take what can be taken, in order."""
        orders: list[Asker] = []
        try:
            self._hear_all(orders)
        except (_TheCarefulWay, Refusal):
            if self._away:
                orders.append(self.go())
        except Exception as error:  # noqa: BLE001 - a bug: the connection's task falls over it, and not this thread
            orders.append(self.go(error))
        return orders

    def _hear_all(self, orders: list[Asker]) -> None:
        if not self.full and not self._connection.take_in():
            raise _TheCarefulWay  # the peer has gone
        while self._away and len(orders) < _MOST_FRAMES and (body := self._connection.next_body()) is not None:
            orders.append(self._order(body, orders))
            self._connection.drop_frame()
        self.full = self._away and len(orders) == _MOST_FRAMES
        self.half = self._away and not self.full and self._connection.has_begun

    def _order(self, body: bytes, before: Sequence[Asker]) -> Asker:
        """What the frame asks. Who does not wait for the disk is answered at once, provided that no answer has to come before it."""
        hand_off, signals = self._hatch.admit(body)
        answer = Answering(self, self._hatch, as_json=body.startswith(b"{"), many=isinstance(hand_off, flawless.Many))
        dispatch, peer = self._hatch.dispatch, self._connection.peer
        early = hand_off.ack != "stored" and self._hatch.may_be_early()
        if not early or any(each.haste is not Haste.PATIENT for each in before):
            silent = hand_off.ack == "none"
            return dispatch.order(signals, peer, answer.silent if silent else answer.stored, heard=not silent)
        if hand_off.ack == "received":
            answer.received(signals)
        self._hatch.unsynced += 1
        return dispatch.order(signals, peer, answer.late, early=True, heard=False)

    def reply(self, message: dict[str, Any], *, as_json: bool) -> None:
        """One reply, or as much of it as the peer takes."""
        self._connection.reply_now(message, as_json=as_json)
        if self._connection.is_behind:
            self.leave(None)  # and the loop waits until the peer reads

    def leave(self, error: BaseException | None) -> None:
        """End the visit after what is being answered."""
        self._error = self._error or error
        if self._away:
            self._journal.place(self.go())

    def go(self, error: BaseException | None = None) -> Asker:
        """End the visit: nothing more is heard, and behind what was heard before the loop takes over."""
        self._away = self.half = self.full = False
        self._journal.leave(self)
        return Order(lambda _: None, lambda _: None, lambda _: self._come_home(error), Haste.URGENT)

    def _come_home(self, error: BaseException | None) -> None:
        self._error = self._error or error
        self._back.set()


class Answering:
    """How one hand-off is answered, on the journal's thread."""

    def __init__(self, visitor: Visitor, hatch: Hatch, *, as_json: bool, many: bool) -> None:
        self._visitor = visitor
        self._hatch = hatch
        self._as_json = as_json
        self._many = many

    def received(self, signals: Sequence[Read]) -> None:
        """The answer that does not wait for the disk."""
        self._say([Receipt(form.id, "stored", IN_MEMORY) for form, _ in signals])

    def stored(self, given: list[Receipt] | BaseException) -> None:
        """The answer that does."""
        if isinstance(given, StorageFull):
            self._visitor.reply(Refusal("full", str(given)).reply(), as_json=self._as_json)
        elif isinstance(given, BaseException):
            self._visitor.leave(given)
        else:
            self._say(given)

    def silent(self, given: list[Receipt] | BaseException) -> None:
        """No answer, because none was asked for; but a broken disk is the end of this run for all."""
        if isinstance(given, BaseException) and not isinstance(given, StorageFull):
            self._visitor.leave(given)

    def late(self, given: list[Receipt] | BaseException) -> None:
        """No answer any more."""
        self._hatch.unsynced -= 1
        self.silent(given)

    def _say(self, given: Sequence[Receipt]) -> None:
        self._visitor.reply({"ok": True, **receipts(given, many=self._many)}, as_json=self._as_json)
