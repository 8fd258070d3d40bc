"""The client: carries signals to the daemon and cannot hurt whoever calls it.

A hand-off is one exchange on one connection: a request out, a receipt back. Around it stand four promises.

1. Bounded. Each exchange has one deadline, and the lock, the connect, the send and the wait for the answer all draw on it.
2. Never raises, unless strict. Every expected failure is an exception inside (InvalidSignal, Unreachable, RequestFailed,
   ProtocolMismatch) and becomes a receipt at the border, in `receipt_of`; so does whatever a foreign object may raise.
3. Safe to repeat. The signal's id is made here, so when a kept connection turns out dead (the daemon was restarted) the same
   request goes once more over a fresh one, and the daemon stores it once.
4. Nobody's answer is read by another. A `Line`, the lock and the connection, belongs to one process: after a fork the child finds
   none under its own pid and makes one, whatever its parent's threads held at that moment.
"""

from __future__ import annotations

import atexit
import os

from . import places, wire
from .answers import describe, explain, part, read_receipt, read_receipts, read_reply, receipt_of, unconfirmed
from .connection import Deadline, Line, connect
from .errors import InvalidSignal, ProtocolMismatch, Unreachable
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from typing import Any, Self, TypeVar, Unpack

    from .signals import SignalFields

    T = TypeVar("T")

MOST_IN_A_FRAME = 500  # one commit of the daemon's; more would make other programs wait for ours
_ENVELOPE = 64  # bytes of a send_many request around its signals, generously


class Client:
    """A way to the daemon at `socket` (default: where the daemon is by default), opened on first use and kept.

    `timeout` is in seconds and bounds every exchange. `ack` is one of tocsin.wire.ACKS. Closed or broken connections are opened again
    when they are needed. Threads may share one client, and so may a process and its forked children.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        timeout: float = 0.25,
        ack: str = "stored",
        *,
        strict: bool = False,
    ) -> None:
        if ack not in wire.ACKS:
            raise ValueError(f"ack must be one of {', '.join(wire.ACKS)}, not {ack!r}")
        if not timeout >= 0:
            raise ValueError(f"timeout must be seconds, zero or more, not {timeout!r}")
        self.socket = None if socket is None else os.fspath(socket)
        self.timeout = timeout
        self.ack = ack
        self.strict = strict
        self._lines: dict[int, Line] = {}

    def send(self, title: str | Signal | None = None, **fields: Unpack[SignalFields]) -> Receipt:
        """Hand one signal over, given by its title and fields or ready-made, within `timeout`.

        Never raises, unless strict: then InvalidSignal, Unreachable, RequestFailed or ProtocolMismatch.
        """
        id_ = ""
        try:
            deadline = Deadline(self.timeout)
            signal = _signal(title, fields)
            id_ = signal.id
            return self._hand_over(signal, deadline)
        except Exception as error:  # the promise: whatever it is, the caller gets a receipt
            if self.strict:
                raise
            return receipt_of(error, id_)

    def send_many(self, signals: Iterable[Signal | Mapping[str, Any]]) -> list[Receipt]:
        """Hand signals over in as few frames as they fit, each frame within `timeout`; their receipts, in order.

        Never raises, unless strict: then every signal is checked before the first is sent, and the first failure raises. The first
        frame that reaches nobody ends the attempt: what was not tried is `dropped` for the same reason.
        """
        try:
            return self._hand_over_all(_all_read(signals, strict=self.strict))
        except Exception as error:
            if self.strict:
                raise
            return [receipt_of(error, "")]

    def status(self) -> dict[str, Any]:
        """How the daemon is: the object of `tocsin status --json`. Raises Unreachable, RequestFailed, ProtocolMismatch."""
        return part(self.request("status"), "status")

    def why(self, id: str) -> dict[str, Any]:  # noqa: A002 - the contract's name
        """What became of the signal `id`, attempt by attempt. Raises as `status` does; `not-found` is a RequestFailed."""
        return part(self.request("why", id=id), "why")

    def request(self, op: str, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """Ask anything of the wire; the daemon's reply. Fields that are None are left out.

        Raises Unreachable when nobody answers within `timeout` seconds (default: the client's), RequestFailed or InvalidSignal when
        the answer is no, ProtocolMismatch when it makes no sense.
        """
        deadline = Deadline(self.timeout if timeout is None else timeout)
        return self._ask(_request(op, fields), deadline, lambda reply: reply)

    def stream(self, op: str, idle: float | None = None, **fields: Any) -> Generator[dict[str, Any], None, None]:
        """The replies to one request, as they come, over a connection of their own, until the daemon ends them.

        `idle` is how many seconds the next one may take; None waits for ever. Raises as `request` does.
        """
        deadline = Deadline(self.timeout)
        connection = None
        try:
            connection = connect(self.socket, deadline)
            body = connection.begin(_request(op, fields), deadline)
            if body:
                yield read_reply(body)
            while (body := connection.hear(None if idle is None else Deadline(idle))) is not None:
                yield read_reply(body)
        except OSError as error:
            raise self._unreachable(error, self.timeout if idle is None else idle) from error
        finally:
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Close the connection. The client stays usable: the next request opens another."""
        self._line().close(self.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hand_over(self, signal: Signal, deadline: Deadline) -> Receipt:
        body = _request("send", {"signal": signal.as_dict(), "ack": self.ack})
        if len(body) > wire.MAX_FRAME:
            raise _too_large(signal)
        if self.ack == "none":
            self._exchange(body, deadline, answered=False)
            return unconfirmed(signal)
        return self._ask(body, deadline, lambda reply: read_receipt(reply.get("receipt"), signal))

    def _hand_over_all(self, read: list[Signal | Receipt]) -> list[Receipt]:
        receipts = [item for item in read if isinstance(item, Receipt)]
        signals = [item for item in read if isinstance(item, Signal)]
        handed: list[Receipt] = []
        for frame in _frames(signals):
            try:
                handed += self._hand_over_frame(frame)
            except Exception as error:
                if self.strict:
                    raise
                handed += [receipt_of(error, signal.id) for signal in signals[len(handed) :]]
                break
        refused, taken = iter(receipts), iter(handed)
        return [next(refused if isinstance(item, Receipt) else taken) for item in read]

    def _hand_over_frame(self, signals: list[Signal]) -> list[Receipt]:
        deadline = Deadline(self.timeout)
        body = _request("send_many", {"signals": [signal.as_dict() for signal in signals], "ack": self.ack})
        if self.ack == "none":
            self._exchange(body, deadline, answered=False)
            return [unconfirmed(signal) for signal in signals]
        return self._ask(body, deadline, lambda reply: read_receipts(reply.get("receipts"), signals))

    def _ask(self, body: bytes, deadline: Deadline, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` makes of the daemon's yes."""
        try:
            return read(read_reply(self._exchange(body, deadline)))
        except ProtocolMismatch:
            self._line().close(0)  # perhaps out of step: the next answer on it could be somebody else's
            raise

    def _exchange(self, body: bytes, deadline: Deadline, *, answered: bool = True) -> bytes:
        """The answer to `body`, or nothing where none is due. Raises Unreachable, ProtocolMismatch."""
        try:
            return self._line().exchange(self.socket, body, deadline, answered=answered)
        except OSError as error:
            raise self._unreachable(error, deadline.seconds) from error

    def _line(self) -> Line:
        """This process's own line. setdefault is atomic, so two threads that come first get the same one."""
        pid = os.getpid()
        line = self._lines.get(pid)
        if line is None:
            line = self._lines.setdefault(pid, Line())
            self._forget_parents(pid)
        return line

    def _forget_parents(self, pid: int) -> None:
        """Close this process's copies of what was open at the fork; the parent's own stay as they are."""
        for other in list(self._lines):
            if other != pid and (line := self._lines.pop(other, None)) is not None:
                line.abandon()

    def _unreachable(self, error: OSError, seconds: float) -> Unreachable:
        return Unreachable(explain(error, places.socket_path(self.socket), seconds))

    def __repr__(self) -> str:
        return f"Client(socket={self.socket!r}, timeout={self.timeout!r}, ack={self.ack!r}, strict={self.strict!r})"


def _signal(title: Any, fields: Mapping[str, Any]) -> Signal:
    if not isinstance(title, Signal):
        return _born(lambda: Signal(title, **fields))
    if fields:
        raise InvalidSignal(next(iter(fields)), "stands beside a Signal that is already made; put it into the Signal")
    return title


def _born(make: Callable[[], Signal]) -> Signal:
    """What `make` makes. Raises InvalidSignal, whatever the foreign objects in it may raise."""
    try:
        return make()
    except InvalidSignal:
        raise
    except Exception as error:
        raise InvalidSignal("signal", f"cannot be read: {describe(error)}") from error


def _all_read(signals: Iterable[Any], *, strict: bool) -> list[Signal | Receipt]:
    """Each signal, or the receipt that says why it is none. With strict, the first that is none raises."""
    read: list[Signal | Receipt] = []
    for item in _unbroken(signals):
        try:
            read.append(_fitting(item))
        except InvalidSignal as error:
            if strict:
                raise
            read.append(receipt_of(error, ""))
    return read


def _unbroken(signals: Iterable[Any]) -> Iterator[Any]:
    """The items, and in the place where a foreign iterator breaks, its exception: what came before is still sent."""
    try:
        yield from signals
    except Exception as error:  # noqa: BLE001 - as foreign as any
        yield error


def _fitting(item: Any) -> Signal:
    """The signal in `item`, which fits a frame. Raises InvalidSignal."""
    if isinstance(item, Exception):
        raise InvalidSignal("signals", f"cannot be read on: {describe(item)}") from item
    signal = item if isinstance(item, Signal) else _born(lambda: Signal.from_dict(item))
    if _size(signal) + _ENVELOPE > wire.MAX_FRAME:
        raise _too_large(signal)
    return signal


def _frames(signals: Iterable[Signal]) -> Iterator[list[Signal]]:
    """The signals in runs that fit a frame each."""
    frame: list[Signal] = []
    room = wire.MAX_FRAME - _ENVELOPE
    for signal in signals:
        size = _size(signal)
        if frame and (size > room or len(frame) == MOST_IN_A_FRAME):
            yield frame
            frame, room = [], wire.MAX_FRAME - _ENVELOPE
        frame.append(signal)
        room -= size
    if frame:
        yield frame


def _size(signal: Signal) -> int:
    return len(wire.encode(signal.as_dict())) + 1  # the comma after it


def _too_large(signal: Signal) -> InvalidSignal:
    values = signal.as_dict()
    largest = max(values, key=lambda name: len(wire.encode({name: values[name]})))
    return InvalidSignal(largest, f"is too large: a signal has room in {wire.MAX_FRAME} bytes; send a link to the rest")


def _request(op: str, fields: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    return wire.encode({"op": op, "v": wire.PROTOCOL, **given})


_process_wide = Client()  # opens nothing until it is used
send = _process_wide.send
send_many = _process_wide.send_many
status = _process_wide.status
why = _process_wide.why
atexit.register(_process_wide.close)
