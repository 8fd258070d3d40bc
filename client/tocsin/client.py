"""The client: carries signals to the daemon and cannot hurt whoever calls it.

A hand-off goes one of two ways. The first of a client is one exchange on the socket: a request out, the daemon's own receipt back, and
with it where the daemon's spool is. All later ones are appended to this process's outbox there (`outbox`), and so is what no daemon
answers in time. Always over the socket go signals whose receipt only the daemon can give: those with a `to`, with a file, with an id of
the caller's own, or with one that this client has handed over before. So does everything where the spool cannot be reached. A request
names the records before it that are not confirmed, and the daemon takes those first: order is kept. Around it stand five promises.

1. Bounded. Each hand-off has one deadline, and the locks, the connect, the send and the wait for the answer all draw on it. What may
   come after it is one write to the local disk.
2. Never raises, unless strict. Every expected failure is an exception inside (InvalidSignal, Unreachable, RequestFailed,
   ProtocolMismatch) and becomes a receipt at the border, in `receipt_of`; so does whatever a foreign object may raise.
3. Safe to repeat. The signal's id is made here, so when a kept connection turns out dead (the daemon was restarted) the same
   request goes once more over a fresh one, and the daemon stores it once.
4. Nobody's answer is read by another. A `Line`, the lock and the connection, belongs to one process: after a fork the child finds
   none under its own pid and makes one, whatever its parent's threads held at that moment.
5. Kept. When no daemon is there, or it does not answer in time, or makes no sense, the same signal under the same id goes to the outbox.
   That includes one that was sent and not answered: should it be in the daemon's journal already, it is stored once. Not kept: what
   the daemon refused, what a socket that is shut to us says, and anything of a strict client, whose caller wants to know.
"""

from __future__ import annotations

import atexit
import os
import sys
from time import monotonic

from . import disk_errors, paths, wire
from .connection import Deadline, Session, connect
from .errors import ProtocolMismatch, Unreachable
from .frames import array_of, in_order, packed, packed_frames, request_of, to_signal, to_signals
from .lazy_import import lazy, needed_at_exit
from .losses import Losses
from .replies import (
    advice,
    describe,
    items,
    may_be_spooled,
    outbox_receipts,
    read_receipts,
    read_reply,
    receipt_of,
    unconfirmed,
    with_note,
)
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from typing import Any, Self, TypeVar, Unpack

    from .client_webhooks import ClientWebhook
    from .signals import SignalFields

    T = TypeVar("T")


_NO_SESSION = (FileNotFoundError, ConnectionRefusedError)  # listens at the socket: a daemon would help


class Client:
    """A way to the daemon at `socket` (default: where the daemon is by default), opened on first use and kept.

    `timeout` is in seconds and bounds every exchange. `ack` is one of tocsin.wire.ACKS. `spool` says whether what no daemon takes is
    kept on disk for it, or in which folder (default: where the daemon looks by default); a strict client keeps nothing and raises.
    Closed or broken connections are opened again when they are needed. Threads may share one client, and so may a process and its
    forked children, and a signal handler and what it interrupted. It can be copied and pickled, and travels without its connection.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        timeout: float = 0.25,
        ack: str = "stored",
        spool: bool | str | os.PathLike[str] = True,  # noqa: FBT001, FBT002 - the contract's order
        strict: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        if ack not in wire.ACKS:
            raise ValueError(f"ack must be one of {', '.join(wire.ACKS)}, not {ack!r}")
        if not timeout >= 0:
            raise ValueError(f"timeout must be seconds, zero or more, not {timeout!r}")
        self.socket = None if socket is None else os.fspath(socket)
        self.timeout = timeout
        self.ack = ack
        self.spool = spool if isinstance(spool, bool) else os.fspath(spool)
        self.strict = strict
        self.losses = Losses()
        self._sessions: dict[int, Session] = {}

    def send(
        self, title: str | Signal | None = None, body: str | None = None, /, *more: Any, **fields: Unpack[SignalFields]
    ) -> Receipt:
        """Hand one signal over, given by its title, body and fields or ready-made, within `timeout` plus one write to the spool.

        Values that are not of their field's type are read as a person would; what cannot be read, and what has a name that is no field's,
        stands in the message as text, and the receipt's reason names it. Refused is only what says nothing at all.

        Never raises, unless strict: then InvalidSignal, Unreachable, RequestFailed or ProtocolMismatch. Without strict, what is refused or
        dropped is logged ("tocsin", WARNING).
        """
        id_ = ""
        deadline = Deadline(self.timeout)
        try:
            signal = to_signal(title, body, more, fields)
            id_ = signal._values["id"]  # noqa: SLF001 - as in `hand_over`
            receipt = self.submit(signal, deadline, asks="id" in fields or _names_id(title))
        except Exception as error:  # the promise: whatever it is, the caller gets a receipt
            if self.strict:
                raise
            receipt = receipt_of(error, id_)
        if self.losses or not receipt.accepted:
            self._note([receipt], [title], deadline)
        return receipt

    def send_many(self, signals: Iterable[Signal | Mapping[str, Any]]) -> list[Receipt]:
        """Hand signals over in as few frames as they fit, each frame within `timeout`; their receipts, in order.

        Never raises, unless strict: then every signal is checked before the first is sent, and the first failure raises. The first
        frame that is neither taken nor spooled ends the attempt: what was not tried is dropped.
        """
        try:
            read = to_signals(signals, strict=self.strict)
            receipts = in_order(read, self._submit_all([item for item in read if isinstance(item, Signal)]))
        except Exception as error:
            if self.strict:
                raise
            read, receipts = [], [receipt_of(error, "")]
        if self.losses or not all(receipt.accepted for receipt in receipts):
            titles = [item.title if isinstance(item, Signal) else None for item in read] or [None]
            self._note(receipts, titles, Deadline(self.timeout))
        return receipts

    def _note(self, receipts: list[Receipt], titles: list[Any], deadline: Deadline) -> None:
        """Say and count what was lost, and report it when a daemon answers."""
        self.losses.note(receipts, titles)
        if self.losses.may_report(receipts):
            try:
                self.losses.report(self.request, deadline.left())
            except TimeoutError:
                return  # with the next

    def submit(self, signal: Signal, deadline: Deadline | None = None, *, asks: bool = True) -> Receipt:
        """As `send`, but raising what keeps the signal from being stored or spooled: for whoever has more to say than a receipt.

        With `asks` it is the daemon's own word, wherever there is one.
        """
        if "attach" in signal._values:  # noqa: SLF001 - `brings_file`, in a quarter of its time: every hand-off pays for it
            signal = self._with_file(signal)
            deadline = None  # the copy is the local write; the daemon has its time after it
        return self._submit([signal], [packed(signal)], deadline or Deadline(self.timeout), asks=asks, many=False)[0]

    def submit_frame(self, signals: list[Signal]) -> list[Receipt]:
        """As `hand_over`, for signals that fit one frame (tocsin.frames)."""
        signals = [self._with_file(signal) for signal in signals]
        return [receipt for run, parts in packed_frames(signals) for receipt in self._submit(run, parts)]

    def status(self) -> dict[str, Any]:
        """How the daemon is: the object of `tocsin status --json`. Raises Unreachable, RequestFailed, ProtocolMismatch."""
        return items(self.request("status"), "status")

    def why(self, id: str) -> dict[str, Any]:  # noqa: A002 - the contract's name
        """What became of the signal `id`, attempt by attempt. Raises as `status` does; `not-found` is a RequestFailed."""
        return items(self.request("why", id=id), "why")

    def lend_webhook(self, url: str) -> ClientWebhook:
        """Have the daemon make a destination of a Discord webhook's URL, for `to` of later signals; its name, within `timeout`.

        The daemon keeps it, where alerts.toml permits that (`[daemon] client-webhooks`), for root and its own user. The same URL is the
        same destination. Never raises, unless strict: then as `request` does, and InvalidSignal where `url` is no text.
        """
        lent: ClientWebhook = lazy("tocsin.client_webhooks").add_webhook(
            url, self.request, strict=self.strict
        )  # few programs have a webhook of their own
        return lent

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
            body = connection.start(_request(op, fields), deadline)
            if body:
                yield read_reply(body)
            while (body := connection.recv_frame(None if idle is None else Deadline(idle))) is not None:
                yield read_reply(body)
        except OSError as error:
            raise self._unreachable(error, self.timeout if idle is None else idle) from error
        finally:
            if connection is not None:
                connection.close()

    def close(self) -> None:
        """Close the connection, after a last report of what was lost. The client stays usable: the next request opens another."""
        if self.losses:
            self.losses.report(self.request, self.timeout)
        self._session().close(self.timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(
        self,
        signals: list[Signal],
        parts: list[bytes],
        deadline: Deadline | None = None,
        *,
        asks: bool = False,
        many: bool = True,
    ) -> list[Receipt]:
        """Receipts for one frame, given with each signal as JSON. Raises what keeps it from being stored or spooled."""
        deadline = deadline or Deadline(self.timeout)
        line = self._session()
        asks = asks or line.needs_receipt(signals)
        if line.folder is not None and not asks:
            receipts = self._into_outbox(line, line.folder, signals, parts, deadline)
            if receipts is not None:
                return receipts
        try:
            return self._over_socket(line, signals, parts, deadline, many=many)
        except Exception as error:  # noqa: BLE001 - raised again, or told by the receipt
            line.try_later(deadline)
            return self._or_spool(line, signals, parts, error)

    def _into_outbox(
        self, line: Session, folder: str, signals: list[Signal], parts: list[bytes], deadline: Deadline
    ) -> list[Receipt] | None:
        """Receipts for what is in the outbox; None where the socket is to be tried: nothing is in the outbox then."""
        only = "taken" if self.strict or not self.spool else "there" if monotonic() >= line.next_try else ""
        outbox = _outbox()
        try:
            reason = outbox.append(
                folder, array_of(parts), deadline.remaining(), synced=self.ack == "stored", only=only
            )
        except outbox.NotAppended:
            return None
        except OSError:
            line.forget_spool()
            return None
        return outbox_receipts(signals, self.ack, reason)

    def _over_socket(
        self, line: Session, signals: list[Signal], parts: list[bytes], deadline: Deadline, *, many: bool
    ) -> list[Receipt]:
        """The daemon's own receipts."""
        asked = self.ack != "none"
        behind = _outbox().unconfirmed(line.folder) if line.folder else None
        body = request_of(signals, parts, self.ack, many=many, spool=asked and line.wants_spool(), after=behind)
        if not asked:
            self._exchange(body, deadline, answered=False)
            return [unconfirmed(signal) for signal in signals]

        def read(reply: dict[str, Any]) -> list[Receipt]:
            told = reply.get("receipts") if many else [reply.get("receipt")]
            receipts = read_receipts(told, signals, self.ack)
            line.learn_spool(reply.get("spool"), None if isinstance(self.spool, bool) else self.spool)
            return receipts

        return self._ask(body, deadline, read)

    def _with_file(self, signal: Signal) -> Signal:
        """The signal, and its file, if it brings one, in the spool's folder: that is where the daemon takes it from, spooled or not."""
        if not signal.brings_file:
            return signal
        handed_in: Signal = lazy("tocsin.attachments").copy_in(signal, self._spool_folder())  # few signals bring one
        return handed_in

    def _spool_folder(self) -> str:
        return self.spool if isinstance(self.spool, str) else paths.spool_folder(socket=self.socket)

    def _submit_all(self, signals: list[Signal]) -> list[Receipt]:
        signals = [self._with_file(signal) for signal in signals]
        handed: list[Receipt] = []
        for run, parts in packed_frames(signals):
            try:
                handed += self._submit(run, parts)
            except Exception as error:
                if self.strict:
                    raise
                return handed + [receipt_of(error, signal.id) for signal in signals[len(handed) :]]
        return handed

    def _or_spool(self, line: Session, signals: list[Signal], parts: list[bytes], error: Exception) -> list[Receipt]:
        """Receipts from the outbox, where that may stand in for the daemon. Raises `error` where it may not, or cannot."""
        if self.strict or not self.spool or not may_be_spooled(error):
            raise error
        folder = line.folder or self._spool_folder()
        try:
            _outbox().append(folder, array_of(parts), 0.0, synced=True)
            _outbox().outbox_in(folder).distrust()
            line.folder = folder
        except Exception as trouble:  # noqa: BLE001 - it is told beside the first
            error.add_note(f"and the spool {folder} does not take it: {disk_errors.reason(trouble, folder)}")
            raise error from error.__cause__
        if self.spool is True and isinstance(error.__cause__, _NO_SESSION) and paths.autostart():
            error.add_note("[client] autostart is starting one")
            _begin(self.socket)
        if unread := paths.configuration_problem():
            error.add_note(f"{unread}, so it is in {folder}")
        return [Receipt(signal.id, "spooled", with_note(signal, describe(error))) for signal in signals]

    def _ask(self, body: bytes, deadline: Deadline, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` makes of the daemon's yes to a request."""
        return self._read(self._exchange(body, deadline), read)

    def _read(self, answer: bytes, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` makes of the daemon's yes."""
        try:
            return read(read_reply(answer))
        except ProtocolMismatch:
            self._session().close(0)  # perhaps out of step: the next answer on it could be somebody else's
            raise

    def _exchange(self, body: bytes, deadline: Deadline, *, answered: bool = True) -> bytes:
        """The answer to `body`, or nothing where none is due. Raises Unreachable, ProtocolMismatch."""
        try:
            return self._session().exchange(self.socket, body, deadline, answered=answered)
        except OSError as error:
            raise self._unreachable(error, deadline.seconds) from error

    def _session(self) -> Session:
        """This process's own line. setdefault is atomic, so two threads that come first get the same one."""
        pid = os.getpid()
        line = self._sessions.get(pid)
        if line is None:
            line = self._sessions.setdefault(pid, Session())
            self._forget_parents(pid)
        return line

    def _forget_parents(self, pid: int) -> None:
        """Close this process's copies of what was open at the fork; the parent's own stay as they are."""
        for other in list(self._sessions):
            if other != pid and (line := self._sessions.pop(other, None)) is not None:
                line.abandon()

    def _unreachable(self, error: OSError, seconds: float) -> Unreachable:
        return Unreachable(advice(error, paths.socket_path(self.socket), seconds))

    def __getstate__(self) -> dict[str, Any]:
        """A copy, and what arrives in another process, has the settings and opens a connection of its own."""
        return {name: value for name, value in vars(self).items() if name != "_sessions"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._sessions = {}

    def __repr__(self) -> str:
        given = (f"{name}={getattr(self, name)!r}" for name in ("socket", "timeout", "ack", "spool", "strict"))
        return f"Client({', '.join(given)})"


def _names_id(given: Any) -> bool:
    return type(given) is dict and "id" in given


def _begin(socket: str | None) -> None:
    if not sys.is_finalizing():
        lazy("tocsin.autostart").begin(socket)  # for few, and for them once


def _outbox() -> Any:
    """The module, once it is needed: one hand-off over the socket needs none."""
    return lazy("tocsin.outbox")


def _request(op: str, fields: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in fields.items() if value is not None}
    return wire.encode({"op": op, "v": wire.PROTOCOL, **given})


_process_wide = Client()  # opens nothing until it is used
send = _process_wide.send
send_many = _process_wide.send_many
status = _process_wide.status
why = _process_wide.why
atexit.register(_process_wide.close)
needed_at_exit("tocsin.attachments")
needed_at_exit("tocsin.client_webhooks")
needed_at_exit("tocsin.outbox")
