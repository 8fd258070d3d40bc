"""Interprets replies: a reply becomes a value or an exception, an exception becomes a receipt or an error message."""

from __future__ import annotations

import os
import stat

from . import wire
from .connection import NoAnswer
from .errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError
from .signals import Receipt, Signal
from .trust import UntrustedPeer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REFUSALS = ("invalid-signal", "too-large", "bad-request")  # permanent: sending the signal again does not help
_DECISIONS = (
    *_REFUSALS,
    "full",
)  # a client does not spool after these; a full disk must not get new files in the spool either


def read_reply(body: bytes) -> dict[str, Any]:
    """The reply in `body`. Raises InvalidSignal, RequestFailed or ProtocolMismatch for a reply that reports an error."""
    reply = wire.decode(body)
    if reply.get("ok") is True:
        return reply
    error = reply.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("kind"), str):
        raise ProtocolMismatch("the answer is neither a success nor an error: is that socket tocsind's?")
    kind, message, field = error["kind"], str(error.get("message")), error.get("field")
    if kind == "invalid-signal" and isinstance(field, str):
        raise InvalidSignal(field, message.removeprefix(f"{field}: "))
    if kind == "protocol":
        raise ProtocolMismatch(message)
    raise RequestFailed(kind, message)


def items(reply: dict[str, Any], name: str) -> dict[str, Any]:
    """The object called `name` in a reply."""
    found = reply.get(name)
    if not isinstance(found, dict):
        raise ProtocolMismatch(f"the answer has no {name}: the daemon speaks another version")
    return found


def read_receipt(told: Any, signal: Signal, ack: str) -> Receipt:
    """The daemon's receipt, after a check that it belongs to this signal. A receipt of a refused signal may have no id.

    A signal whose id another user has taken is stored under a new id; its reason names the old one.
    """
    if not isinstance(told, dict) or not isinstance(told.get("state"), str):
        raise ProtocolMismatch("the daemon's receipt cannot be read: it speaks another version")
    id_, state, reason = told.get("id") or signal.id, told["state"], told.get("reason")
    if id_ != signal.id and not (state == "stored" and signal.id in str(reason)):
        raise ProtocolMismatch("the daemon's receipt is not this signal's: it speaks another version")
    return Receipt(id_, state, reason, durable=False if state == "stored" != ack else None)


def read_receipts(told: Any, signals: list[Signal], ack: str) -> list[Receipt]:
    """The receipts of one frame, in the order of its signals."""
    if not isinstance(told, list) or len(told) != len(signals):
        raise ProtocolMismatch("the daemon's receipts do not match the signals: it speaks another version")
    return [read_receipt(item, signal, ack) for item, signal in zip(told, signals, strict=True)]


def unconfirmed(signal: Signal) -> Receipt:
    """The receipt of a signal that was sent with ack=none."""
    return _receipt(signal, "stored", _UNCONFIRMED, durable=False)


def outbox_receipts(signals: list[Signal], ack: str, reason: str | None) -> list[Receipt]:
    """Receipts for signals in the outbox. `reason`: why no daemon takes them at present; signals with a reason are synced."""
    if reason:
        return [_receipt(signal, "spooled", reason) for signal in signals]
    if ack == "stored":
        return [_receipt(signal, "stored") for signal in signals]
    said = wire.IN_MEMORY if ack == "received" else _UNCONFIRMED
    return [_receipt(signal, "stored", said, durable=False) for signal in signals]


def _receipt(signal: Signal, state: str, reason: str | None = None, *, durable: bool = True) -> Receipt:
    """A receipt, with the signal's notes where it has any: seldom, so the check is as cheap as it can be."""
    values = signal._values  # noqa: SLF001 - as above
    if "input_notes" in values or "attach_note" in values:
        reason = with_note(signal, reason)
    return Receipt(values["id"], state, reason, durable=durable)


_UNCONFIRMED = "not confirmed: ack=none"


def with_note(signal: Signal, reason: str | None) -> str | None:
    """A receipt's reason, with the notes on converted values and on a file that was not attached."""
    return "; ".join(part for part in (reason, *(signal.input_notes or ()), signal.attach_note) if part) or None


def may_be_spooled(error: Exception) -> bool:
    """Whether to spool after `error`: the daemon is away or cannot answer now, and may take the signal later.

    A socket that this user may not connect to belongs to another user's daemon, and so does the spool that it reads: not spooled. A
    listener of an untrusted user (UntrustedPeer) does not count as a daemon: spooled.
    """
    if isinstance(error, RequestFailed):
        return error.kind not in _DECISIONS
    cause = error.__cause__
    return not isinstance(error, InvalidSignal) and not (isinstance(cause, PermissionError) and cause.errno)


def receipt_of(error: Exception, id_: str) -> Receipt:
    """The receipt for a failure: `refused` when the signal can never be stored as it is, `dropped` when it may be sent again."""
    if isinstance(error, InvalidSignal) or (isinstance(error, RequestFailed) and error.kind in _REFUSALS):
        return Receipt(id_, "refused", describe(error))
    return Receipt(id_, "dropped", describe(error))


def describe(error: Exception) -> str:
    """The text of an exception and its notes, with the type of a foreign one."""
    try:
        said = str(error) if isinstance(error, TocsinError) else f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        said = type(error).__name__
    return "; ".join((said, *getattr(error, "__notes__", ())))


def advice(error: OSError, path: str, seconds: float) -> str:
    """The error message for a failed exchange: what happened, and what to do about it."""
    if isinstance(error, ConnectionRefusedError) and not _is_socket(path):
        return f"no daemon at {path}: that is no socket; name the daemon's with --socket or $TOCSIN_SOCKET"
    for kind, text in _TRANSPORT_ADVICE:
        if isinstance(error, kind):
            return text.format(path=path, seconds=seconds, error=error.strerror or error)
    return f"cannot talk to {path}: {error.strerror or error}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - pathlib is not loaded here
    except (OSError, ValueError):  # it was deleted in the meantime
        return True


MAY_BE_STORED = "; it may have stored the signal"
_TRANSPORT_ADVICE: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "no daemon at {path}: nothing is there; start one with `tocsind run`"),
    (ConnectionRefusedError, "no daemon at {path}: no process listens there any more; start one with `tocsind run`"),
    (
        UntrustedPeer,
        "nothing was sent to {path}: {error}; name another socket with $TOCSIN_SOCKET, or a further trusted uid with $TOCSIN_DAEMON_UID",
    ),
    (
        PermissionError,
        "cannot connect to {path}: {error}; ask its owner, or name another socket with --socket or $TOCSIN_SOCKET",
    ),
    (
        NoAnswer,
        "the daemon at {path} accepted the request and did not answer within {seconds:g} s"
        + MAY_BE_STORED
        + "; see its log",
    ),
    (
        TimeoutError,
        "no connection to {path} within {seconds:g} s: the daemon hangs or is overloaded; see `tocsin status` and its log",
    ),
    (
        ConnectionError,
        "the daemon at {path} closed the connection without an answer" + MAY_BE_STORED + "; see its log",
    ),
)
