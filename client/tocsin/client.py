"""The client: hands signals to the daemon, and never harms the program that calls it.

A hand-off goes one of two ways. The first one of a client is an exchange on the socket: it sends a request and gets the daemon's receipt,
and with it the path of the daemon's spool. Later signals are appended to this process's outbox there (`outbox`), and so are signals that
no daemon answers in time. A signal whose receipt only the daemon can give is always sent over the socket: one with a `to`, with a file,
with an id that the caller made, or with an id that this client has handed over before. So is every signal where the client cannot write to
the spool. A request names the last unconfirmed record of the outbox, and the daemon takes the outbox up to there first, which keeps the
order. The client makes five promises.

1. Bounded. Each hand-off has one deadline, and the locks, the connect, the send and the wait for the answer all draw on it. What may
   come after it is one write to the local disk.
2. Never raises, unless strict. Every expected failure is an exception inside (InvalidSignal, Unreachable, RequestFailed,
   ProtocolMismatch) and becomes a receipt at the border, in `receipt_of`; so does whatever a foreign object may raise.
3. Safe to repeat. The signal's id is made here, so when a kept connection turns out dead (the daemon was restarted) the same
   request goes once more over a fresh one, and the daemon stores it once.
4. Each answer reaches its own request. A `Session`, the lock and the connection, belongs to one process: after a fork the child finds
   none under its own pid and makes one, whatever its parent's threads held at that moment.
5. Kept. When no daemon is there, or it does not answer in time, or makes no sense, the same signal under the same id goes to the outbox.
   That includes one that was sent and not answered: should it be in the daemon's journal already, it is stored once. Not kept: a signal
   that the daemon refused, or whose socket this user may not connect to, and any signal of a strict client, which raises instead.
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


_NO_LISTENER = (
    FileNotFoundError,
    ConnectionRefusedError,
)  # no process listens on the socket, so a daemon may be started


class Client:
    """A client of the daemon at `socket` (default: the usual one). It connects on first use and keeps the connection.

    `timeout` is in seconds and bounds every exchange. `ack` is one of tocsin.wire.ACKS. `spool`: whether to store signals on disk while no
    daemon answers, or the folder for them (default: the daemon's spool); a strict client never spools, it raises. A closed or broken
    connection is opened again when it is needed. Threads may share one client, and so may a process and its forked children, and a signal
    handler and the code that it interrupted. It can be copied and pickled; the copy opens a connection of its own.
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
        """Hand one signal over, given by its title, body and fields or as a Signal, within `timeout` plus one write to the spool.

        Values of another type than their field's are converted as a reader would understand them. A value that cannot be converted, and an
        unknown keyword, appear in the message as text, and the receipt's reason names them. Only an empty signal is refused.

        Never raises, unless strict: then InvalidSignal, Unreachable, RequestFailed or ProtocolMismatch. Without strict, a signal that is
        refused or dropped is logged (logger "tocsin", WARNING).
        """
        id_ = ""
        deadline = Deadline(self.timeout)
        try:
            signal = to_signal(title, body, more, fields)
            id_ = signal._values["id"]  # noqa: SLF001 - as in `submit`
            receipt = self.submit(signal, deadline, asks="id" in fields or _names_id(title))
        except Exception as error:  # promise 2: the caller gets a receipt
            if self.strict:
                raise
            receipt = receipt_of(error, id_)
        if self.losses or not receipt.accepted:
            self._note([receipt], [title], deadline)
        return receipt

    def send_many(self, signals: Iterable[Signal | Mapping[str, Any]]) -> list[Receipt]:
        """Hand signals over in as few frames as possible, each frame within `timeout`. Returns their receipts, in order.

        Never raises, unless strict: then every signal is checked before the first is sent, and the first failure raises. After a frame
        that was neither stored nor spooled the remaining signals are dropped without another attempt.
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
        """Log and count losses, and report them when a daemon answers."""
        self.losses.note(receipts, titles)
        if self.losses.may_report(receipts):
            try:
                self.losses.report(self.request, deadline.left())
            except TimeoutError:
                return  # the next hand-off reports them

    def submit(self, signal: Signal, deadline: Deadline | None = None, *, asks: bool = True) -> Receipt:
        """As `send`, for a Signal, and it raises the error that keeps the signal from being stored or spooled.

        `asks`: get the receipt from the daemon, if one runs, and not from the outbox.
        """
        if "attach" in signal._values:  # noqa: SLF001 - as `has_file`, in a quarter of its time: this runs for every hand-off
            signal = self._with_file(signal)
            deadline = None  # copying the file is the local write; the exchange gets the whole timeout after it
        return self._submit([signal], [packed(signal)], deadline or Deadline(self.timeout), asks=asks, many=False)[0]

    def submit_frame(self, signals: list[Signal]) -> list[Receipt]:
        """As `submit`, for signals that fit one frame (tocsin.frames)."""
        signals = [self._with_file(signal) for signal in signals]
        return [receipt for run, parts in packed_frames(signals) for receipt in self._submit(run, parts)]

    def status(self) -> dict[str, Any]:
        """The status of the daemon: the object of `tocsin status --json`. Raises Unreachable, RequestFailed, ProtocolMismatch."""
        return items(self.request("status"), "status")

    def why(self, id: str) -> dict[str, Any]:  # noqa: A002 - the contract's name
        """The history of the signal `id`, attempt by attempt. Raises as `status` does; RequestFailed(`not-found`) for an unknown id."""
        return items(self.request("why", id=id), "why")

    def acknowledge(self, name: str) -> dict[str, Any]:
        """Acknowledge a signal by its id, or a story by its key: it is not repeated any more, at no destination. Raises as `why` does."""
        return self.request("acknowledge", name=name)

    def add_webhook(self, url: str) -> ClientWebhook:
        """Register a Discord webhook's URL with the daemon. Returns the name of its destination, for `to` of later signals.

        The daemon accepts webhooks of root and of its own user, where alerts.toml permits it (`[daemon] client-webhooks`). The same URL is
        always the same destination. Takes at most `timeout`. Never raises, unless strict: then as `request` does, and InvalidSignal where
        `url` is not text.
        """
        added: ClientWebhook = lazy("tocsin.client_webhooks").add_webhook(url, self.request, strict=self.strict)
        return added

    def request(self, op: str, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """Send any request of the protocol; returns the daemon's reply. Fields that are None are left out.

        Raises Unreachable when no daemon answers within `timeout` seconds (default: the client's), RequestFailed or InvalidSignal when
        it reports an error, ProtocolMismatch when the answer cannot be understood.
        """
        deadline = Deadline(self.timeout if timeout is None else timeout)
        return self._ask(wire.request(op, fields), deadline, lambda reply: reply)

    def stream(self, op: str, idle: float | None = None, **fields: Any) -> Generator[dict[str, Any], None, None]:
        """Yields the replies to one request as they arrive, over a connection of its own, until the daemon ends the stream.

        `idle` is how many seconds the next reply may take; None waits for ever. Raises as `request` does.
        """
        deadline = Deadline(self.timeout)
        connection = None
        try:
            connection = connect(self.socket, deadline)
            body = connection.start(wire.request(op, fields), deadline)
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
        """Report losses, and close the connection. The client stays usable: the next request connects again."""
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
        """Hand over one frame, given with each signal as JSON. Raises the error that keeps it from being stored or spooled."""
        deadline = deadline or Deadline(self.timeout)
        session = self._session()
        asks = asks or session.needs_receipt(signals)
        if session.folder is not None and not asks:
            receipts = self._into_outbox(session, session.folder, signals, parts, deadline)
            if receipts is not None:
                return receipts
        try:
            return self._over_socket(session, signals, parts, deadline, many=many)
        except Exception as error:  # noqa: BLE001 - raised again, or named in the receipt
            session.try_later(deadline)
            return self._or_spool(session, signals, parts, error)

    def _into_outbox(
        self, session: Session, folder: str, signals: list[Signal], parts: list[bytes], deadline: Deadline
    ) -> list[Receipt] | None:
        """Append to the outbox; None where nothing was appended and the socket is to be tried."""
        only = "taken" if self.strict or not self.spool else "there" if monotonic() >= session.next_try else ""
        outbox = _outbox()
        try:
            if not only and not session.is_named and session.follow_environment():
                return None  # another daemon may be meant by now
            reason = outbox.append(
                folder, array_of(parts), deadline.remaining(), synced=self.ack == "stored", only=only
            )
        except outbox.NotAppended:
            return None
        except OSError:
            session.forget_spool()
            return None
        return outbox_receipts(signals, self.ack, reason)

    def _over_socket(
        self, session: Session, signals: list[Signal], parts: list[bytes], deadline: Deadline, *, many: bool
    ) -> list[Receipt]:
        """Send a request; the daemon's receipts."""
        answered = self.ack != "none"
        after = _outbox().unconfirmed(session.folder) if session.folder else None
        body = request_of(signals, parts, self.ack, many=many, spool=answered and session.wants_spool(), after=after)
        if not answered:
            self._exchange(body, deadline, answered=False)
            return [unconfirmed(signal) for signal in signals]

        def read(reply: dict[str, Any]) -> list[Receipt]:
            given = reply.get("receipts") if many else [reply.get("receipt")]
            receipts = read_receipts(given, signals, self.ack)
            session.learn_spool(reply.get("spool"), None if isinstance(self.spool, bool) else self.spool)
            return receipts

        return self._ask(body, deadline, read)

    def _with_file(self, signal: Signal) -> Signal:
        """Copy the signal's file, if it has one, into the spool, from where the daemon takes it for every signal."""
        if not signal.has_file:
            return signal
        copied: Signal = lazy("tocsin.attachments").copy_in(signal, self._spool_folder())  # few signals have a file
        return copied

    def _spool_folder(self) -> str:
        return self.spool if isinstance(self.spool, str) else paths.spool_folder(socket=self.socket)

    def _submit_all(self, signals: list[Signal]) -> list[Receipt]:
        signals = [self._with_file(signal) for signal in signals]
        receipts: list[Receipt] = []
        for run, parts in packed_frames(signals):
            try:
                receipts += self._submit(run, parts)
            except Exception as error:
                if self.strict:
                    raise
                return receipts + [receipt_of(error, signal.id) for signal in signals[len(receipts) :]]
        return receipts

    def _or_spool(self, session: Session, signals: list[Signal], parts: list[bytes], error: Exception) -> list[Receipt]:
        """Append to the outbox after the socket failed with `error`. Raises `error` where spooling is not allowed, or fails."""
        if self.strict or not self.spool or not may_be_spooled(error):
            raise error
        folder = session.folder if session.folder and session.is_named else self._spool_folder()
        try:
            _outbox().append(folder, array_of(parts), 0.0, synced=True)
            _outbox().outbox_in(folder).distrust()
            session.folder = folder
            session.follow_environment()
        except Exception as problem:  # noqa: BLE001 - reported together with the first error
            error.add_note(f"and the spool {folder} does not take it: {disk_errors.reason(problem, folder)}")
            raise error from error.__cause__
        if self.spool is True and isinstance(error.__cause__, _NO_LISTENER) and paths.autostart():
            error.add_note("[client] autostart is starting one")
            _start_daemon(self.socket)
        if unread := paths.configuration_problem():
            error.add_note(f"{unread}, so it is in {folder}")
        return [Receipt(signal.id, "spooled", with_note(signal, describe(error))) for signal in signals]

    def _ask(self, body: bytes, deadline: Deadline, read: Callable[[dict[str, Any]], T]) -> T:
        """Exchange a request for a reply, and return what `read` makes of it."""
        answer = self._exchange(body, deadline)
        try:
            return read(read_reply(answer))
        except ProtocolMismatch:
            self._session().close(0)  # requests and answers may be out of step on this connection
            raise

    def _exchange(self, body: bytes, deadline: Deadline, *, answered: bool = True) -> bytes:
        """The answer to `body`; empty where none is expected. Raises Unreachable, ProtocolMismatch."""
        try:
            return self._session().exchange(self.socket, body, deadline, answered=answered)
        except OSError as error:
            raise self._unreachable(error, deadline.seconds) from error

    def _session(self) -> Session:
        """This process's session. setdefault is atomic, so two threads that make the first one get the same."""
        pid = os.getpid()
        session = self._sessions.get(pid)
        if session is None:
            session = self._sessions.setdefault(pid, Session())
            self._forget_parents(pid)
        return session

    def _forget_parents(self, pid: int) -> None:
        """Close this process's copies of connections that were open at the fork; the parent's own stay open."""
        for other in list(self._sessions):
            if other != pid and (session := self._sessions.pop(other, None)) is not None:
                session.abandon()

    def _unreachable(self, error: OSError, seconds: float) -> Unreachable:
        return Unreachable(advice(error, paths.socket_path(self.socket), seconds))

    def __getstate__(self) -> dict[str, Any]:
        """A copied or unpickled client has the settings, and opens a connection of its own."""
        return {name: value for name, value in vars(self).items() if name != "_sessions"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._sessions = {}

    def __repr__(self) -> str:
        given = (f"{name}={getattr(self, name)!r}" for name in ("socket", "timeout", "ack", "spool", "strict"))
        return f"Client({', '.join(given)})"


def _names_id(given: Any) -> bool:
    return type(given) is dict and "id" in given


def _start_daemon(socket: str | None) -> None:
    if not sys.is_finalizing():
        lazy("tocsin.autostart").begin(socket)


def _outbox() -> Any:
    """The module `outbox`, loaded on first use: a program that sends one signal does not need it."""
    return lazy("tocsin.outbox")


_process_wide = Client()  # connects on first use
send = _process_wide.send
send_many = _process_wide.send_many
status = _process_wide.status
why = _process_wide.why
atexit.register(_process_wide.close)
needed_at_exit("tocsin.attachments")
needed_at_exit("tocsin.client_webhooks")
needed_at_exit("tocsin.outbox")
