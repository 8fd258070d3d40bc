"""Prepares a hand-off: arguments become signals, and signals become requests that fit a frame."""

from __future__ import annotations

from . import wire
from .errors import InvalidSignal
from .replies import describe, receipt_of
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

MOST_IN_A_FRAME = 500  # signals: the daemon commits a frame at once, and other programs wait for that
_MOST_OF_ONE = 6  # bytes of JSON that a character may take
_ENVELOPE = 64  # bytes, at most, of a send_many request without its signals


def to_signal(title: Any, body: Any, more: tuple[Any, ...], fields: Mapping[str, Any]) -> Signal:
    """The signal for the arguments of `send`: title, body and fields, or a dict or Signal. Raises InvalidSignal.

    Fields given in addition to a dict or a Signal override its own. Further positional arguments are appended to the body.
    """
    kind = type(title)
    if kind is Signal and body is None and not fields and not more:
        return title  # type: ignore[no-any-return]
    whole = title.as_dict() if kind is Signal else title if kind is dict else None
    if whole is None and not more and "title" not in fields and "body" not in fields:  # nearly always
        return Signal.from_dict({"title": title, "body": body, **fields})
    given = {"title": title, "body": body, **fields} if whole is None else _beside(whole, body, fields)
    left = [each for name, each in (("title", title), ("body", body)) if name in fields and each is not None]
    left = [*(left if whole is None else ()), *more]
    if left:
        given["body"] = [each for each in (given.get("body"), *left) if each is not None]
    return Signal.from_dict(given)


def _beside(whole: dict[Any, Any], body: Any, fields: Mapping[str, Any]) -> dict[Any, Any]:
    return {**whole, **({} if body is None else {"body": body}), **fields}


def to_signals(signals: Iterable[Any], *, strict: bool) -> list[Signal | Receipt]:
    """The signals in order; in place of an invalid one its receipt. With strict, the first invalid one raises."""
    read: list[Signal | Receipt] = []
    for item in _unbroken(signals):
        try:
            read.append(fits(item))
        except InvalidSignal as error:
            if strict:
                raise
            read.append(receipt_of(error, ""))
    return read


def _unbroken(signals: Iterable[Any]) -> Iterator[Any]:
    """The items, and a BrokenInput when a foreign iterator raises, so that the items before it are still sent."""
    if issubclass(type(signals), (Signal, str, bytes, dict)):  # a single signal without a list
        yield signals
        return
    try:
        yield from signals
    except Exception as error:  # noqa: BLE001 - a foreign iterator may raise anything
        yield BrokenInput(error)


class BrokenInput:
    """Stands for the exception that a foreign iterator raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def fits(item: Any) -> Signal:
    """The signal in `item`, checked to fit a frame. Raises InvalidSignal."""
    if type(item) is BrokenInput:
        raise InvalidSignal("signals", f"the iterator raised {describe(item.error)}") from item.error
    signal = item if type(item) is Signal else signal_in(item)
    if _may_be_large(signal) and len(packed(signal)) + _ENVELOPE > wire.MAX_FRAME:
        raise too_large(signal)
    return signal


def signal_in(item: Any) -> Signal:
    """The signal in any object: of a mapping the items are fields, any other object is the title. Raises InvalidSignal."""
    if issubclass(type(item), Signal):
        return item  # type: ignore[no-any-return]
    try:
        given = item if type(item) is dict else dict(item.items())
    except Exception:  # noqa: BLE001 - not a mapping, or a foreign one that raises
        return Signal(item)
    return Signal.from_dict(given)


def _may_be_large(signal: Signal) -> bool:
    """A cheap upper bound, so that most signals need not be packed to be measured: the values take less than half a frame."""
    return _MOST_OF_ONE * sum(map(_length, signal.as_dict().values())) > wire.MAX_FRAME // 2


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(repr(value))


def in_order(read: list[Signal | Receipt], handed: list[Receipt]) -> list[Receipt]:
    """A receipt for each item: an invalid one has its own, the others get theirs from `handed`, in order."""
    taken = iter(handed)
    return [item if isinstance(item, Receipt) else next(taken) for item in read]


def frames(signals: Iterable[Signal]) -> Iterator[list[Signal]]:
    """The signals in runs that fit a frame each."""
    return (run for run, _ in packed_frames(signals))


def packed_frames(signals: Iterable[Signal]) -> Iterator[tuple[list[Signal], list[bytes]]]:
    """The signals in runs that fit a frame each, together with each signal as JSON, so that it is packed only once."""
    run: list[Signal] = []
    parts: list[bytes] = []
    room = wire.MAX_FRAME - _ENVELOPE
    for signal in signals:
        part = packed(signal)
        if run and (len(part) + 1 > room or len(run) == MOST_IN_A_FRAME):
            yield run, parts
            run, parts, room = [], [], wire.MAX_FRAME - _ENVELOPE
        run.append(signal)
        parts.append(part)
        room -= len(part) + 1  # the comma after it
    if run:
        yield run, parts


def array_of(parts: list[bytes]) -> bytes:
    """Signals packed as JSON, as one array."""
    return b"[%b]" % b",".join(parts)


def request_of(
    signals: list[Signal], parts: list[bytes], ack: str, *, many: bool, spool: bool, after: tuple[str, int] | None
) -> bytes:
    """The request that sends signals packed as JSON: `many`, or one. `spool` asks for the spool's path; `after` names the record of an
    outbox up to which the daemon takes the outbox first. Raises InvalidSignal for a signal that does not fit a frame.
    """
    head = b'{"op":"send%b","v":%d,"signal%b":' % (
        b"_many" if many else b"",
        wire.PROTOCOL,
        b"s" if many else b"",
    )
    body = head + (array_of(parts) if many else parts[0]) + b',"ack":"%b"' % ack.encode()
    asks = b',"spool":true' if spool else b""
    asks += b',"after":["%b",%d]' % (after[0].encode(), after[1]) if after else b""
    if len(body) + len(asks) < wire.MAX_FRAME:  # else the signals are sent without them
        body += asks
    if len(body) >= wire.MAX_FRAME:
        raise too_large(signals[0])
    return body + b"}"


def packed(signal: Signal) -> bytes:
    """A signal as JSON."""
    return wire.encode_json(signal._values)  # noqa: SLF001 - `as_dict` copies, and this runs for every hand-off


def too_large(signal: Signal) -> InvalidSignal:
    """The error for a signal that does not fit a frame; it names the largest field."""
    values = signal.as_dict()
    largest = max(values, key=lambda name: len(wire.encode({name: values[name]})))
    return InvalidSignal(largest, f"is too large: a signal must fit {wire.MAX_FRAME} bytes; send a link to the rest")
