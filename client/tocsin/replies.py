"""What the answers mean: a reply becomes a value or an exception, an exception becomes a receipt or a sentence for people."""

from __future__ import annotations

from . import wire
from .connection import NoAnswer
from .errors import InvalidSignal, ProtocolMismatch, RequestFailed, TocsinError
from .signals import Receipt, Signal
from .trust import UntrustedPeer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REFUSALS = ("invalid-signal", "too-large", "bad-request")  # never to be taken, however often it is asked
# what a healthy daemon says knowingly; the last of its disk is not for new files in the spool either
_DECISIONS = (*_REFUSALS, "full")


def read_reply(body: bytes) -> dict[str, Any]:
    """What the daemon said, when it said yes. Raises what its no amounts to."""
    reply = wire.decode(body)
    if reply.get("ok") is True:
        return reply
    error = reply.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("kind"), str):
        raise ProtocolMismatch("the answer is neither yes nor no: is that socket tocsind's?")
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
    """The daemon's receipt as it is, provided that it is this signal's: what it refuses may have lost its id.

    One that was stored under a fresh id, because another user has this one, says which was meant.
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
    """The receipt of a signal whose sender wants no answer."""
    return _receipt(signal, "stored", _UNCONFIRMED, durable=False)


def outbox_receipts(signals: list[Signal], ack: str, reason: str | None) -> list[Receipt]:
    """Receipts for signals in the outbox: `reason` says why no daemon takes them at present, if none does. Then they are synced."""
    if reason:
        return [_receipt(signal, "spooled", reason) for signal in signals]
    if ack == "stored":
        return [_receipt(signal, "stored") for signal in signals]
    said = wire.IN_MEMORY if ack == "received" else _UNCONFIRMED
    return [_receipt(signal, "stored", said, durable=False) for signal in signals]


def _receipt(signal: Signal, state: str, reason: str | None = None, *, durable: bool = True) -> Receipt:
    """With a note only where there is something to note: hardly ever, and every hand-off pays for the question."""
    values = signal._values  # noqa: SLF001 - as above
    if "input_notes" in values or "attach_note" in values:
        reason = with_note(signal, reason)
    return Receipt(values["id"], state, reason, durable=durable)


_UNCONFIRMED = "not confirmed: ack=none"


def with_note(signal: Signal, reason: str | None) -> str | None:
    """A receipt's reason, and what there is to say of odd values, and of a file that does not come along."""
    return "; ".join(part for part in (reason, *(signal.input_notes or ()), signal.attach_note) if part) or None


def may_be_spooled(error: Exception) -> bool:
    """Whether the daemon may take the signal later: it is away, or in no state to answer. What it decided is not asked again.

    A socket that is shut to us is a decision too: that daemon is somebody else's, and so is the spool that it reads. A stranger's listener
    (UntrustedPeer) is no daemon: it decides nothing.
    """
    if isinstance(error, RequestFailed):
        return error.kind not in _DECISIONS
    cause = error.__cause__
    return not isinstance(error, InvalidSignal) and not (isinstance(cause, PermissionError) and cause.errno)


def receipt_of(error: Exception, id_: str) -> Receipt:
    """What a failure means for the signal: refused will never be taken as it is, dropped may be sent again."""
    if isinstance(error, InvalidSignal) or (isinstance(error, RequestFailed) and error.kind in _REFUSALS):
        return Receipt(id_, "refused", describe(error))
    return Receipt(id_, "dropped", describe(error))


def describe(error: Exception) -> str:
    """What an exception and its notes say; ours say enough, foreign ones need their type, and may even fail to speak."""
    try:
        said = str(error) if isinstance(error, TocsinError) else f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        said = type(error).__name__
    return "; ".join((said, *getattr(error, "__notes__", ())))


def advice(error: OSError, path: str, seconds: float) -> str:
    """What happened on the road to the daemon, and what to do about it."""
    for kind, text in _TRANSPORT_ADVICE:
        if isinstance(error, kind):
            return text.format(path=path, seconds=seconds, error=error.strerror or error)
    return f"cannot talk to {path}: {error.strerror or error}"


_TRANSPORT_ADVICE: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "no daemon at {path}: nothing is there; start one with `tocsind run`"),
    (ConnectionRefusedError, "no daemon at {path}: nobody listens there any more; start one with `tocsind run`"),
    (
        UntrustedPeer,
        "nothing is handed over at {path}: {error}; name another with $TOCSIN_SOCKET, or whom else to trust in $TOCSIN_DAEMON_UID",
    ),
    (PermissionError, "may not use {path}: {error}; ask its owner, or name another with --socket or $TOCSIN_SOCKET"),
    (
        NoAnswer,
        "the daemon at {path} is there and did not answer within {seconds:g} s, so it may have arrived; its log says what holds it up",
    ),
    (
        TimeoutError,
        "no way in to {path} within {seconds:g} s: hung or overloaded; see `tocsin status` and the daemon's log",
    ),
    (ConnectionError, "the daemon at {path} hung up without an answer, so it may have arrived; see its log"),
)
