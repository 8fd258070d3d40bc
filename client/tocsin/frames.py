"""What is handed over, made ready: arguments become signals, signals become runs that fit a frame, mistakes are told by their field."""

from __future__ import annotations

from . import wire
from .errors import InvalidSignal
from .replies import describe, receipt_of
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

MOST_IN_A_FRAME = 500  # one commit of the daemon's; more would make other programs wait for ours
_MOST_OF_ONE = 6  # bytes of JSON that a character may take
_ENVELOPE = 64  # bytes of a send_many request around its signals, generously


def to_signal(title: Any, body: Any, more: tuple[Any, ...], fields: Mapping[str, Any]) -> Signal:
    """The signal that `send` was given: by its title, body and fields, as a dict, or ready-made. Raises InvalidSignal.

    Fields beside a dict or a Signal go before what that says. Words for which there is no place stand at the end of the body.
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
    """Each signal, or the receipt that says why it is none. With strict, the first that is none raises."""
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
    """The items, and in the place where a foreign iterator breaks, its exception: what came before is still sent."""
    if issubclass(type(signals), (Signal, str, bytes, dict)):  # one, given without a list around it
        yield signals
        return
    try:
        yield from signals
    except Exception as error:  # noqa: BLE001 - as foreign as any
        yield BrokenInput(error)


class BrokenInput:
    """Stands where a foreign iterator broke."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def fits(item: Any) -> Signal:
    """The signal in `item`, which fits a frame. Raises InvalidSignal."""
    if type(item) is BrokenInput:
        raise InvalidSignal("signals", f"cannot be read on: {describe(item.error)}") from item.error
    signal = item if type(item) is Signal else signal_in(item)
    if _may_be_large(signal) and len(packed(signal)) + _ENVELOPE > wire.MAX_FRAME:
        raise too_large(signal)
    return signal


def signal_in(item: Any) -> Signal:
    """The signal in any object: a mapping's names are fields, a text or anything else is a title. Raises InvalidSignal."""
    if issubclass(type(item), Signal):
        return item  # type: ignore[no-any-return]
    try:
        given = item if type(item) is dict else dict(item.items())
    except Exception:  # noqa: BLE001 - no mapping, or one that cannot be read
        return Signal(item)
    return Signal.from_dict(given)


def _may_be_large(signal: Signal) -> bool:
    """Most are not, and need not be packed to be measured: their names take no half of a frame, and their values are short."""
    return _MOST_OF_ONE * sum(map(_length, signal.as_dict().values())) > wire.MAX_FRAME // 2


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(repr(value))


def in_order(read: list[Signal | Receipt], handed: list[Receipt]) -> list[Receipt]:
    """A receipt each: what was no signal has its own already, the others get theirs from `handed`, in turn."""
    taken = iter(handed)
    return [item if isinstance(item, Receipt) else next(taken) for item in read]


def frames(signals: Iterable[Signal]) -> Iterator[list[Signal]]:
    """The signals in runs that fit a frame each."""
    return (run for run, _ in packed_frames(signals))


def packed_frames(signals: Iterable[Signal]) -> Iterator[tuple[list[Signal], list[bytes]]]:
    """The signals in runs that fit a frame each, with each signal as JSON: packing costs more than checking, so it is done once."""
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
    """The request that hands over signals packed as JSON: `many`, or one. `spool` asks where the spool is, `after` names a record of an
    outbox that the daemon shall take before. Raises InvalidSignal for one that fits no frame.
    """
    head = b'{"op":"send%b","v":%d,"signal%b":' % (
        b"_many" if many else b"",
        wire.PROTOCOL,
        b"s" if many else b"",
    )
    body = head + (array_of(parts) if many else parts[0]) + b',"ack":"%b"' % ack.encode()
    asks = b',"spool":true' if spool else b""
    asks += b',"after":["%b",%d]' % (after[0].encode(), after[1]) if after else b""
    if len(body) + len(asks) < wire.MAX_FRAME:  # else what matters goes alone
        body += asks
    if len(body) >= wire.MAX_FRAME:
        raise too_large(signals[0])
    return body + b"}"


def packed(signal: Signal) -> bytes:
    """A signal as JSON."""
    return wire.encode_json(signal._values)  # noqa: SLF001 - `as_dict` copies, and every hand-off would pay for it


def too_large(signal: Signal) -> InvalidSignal:
    """What is wrong with a signal that fits no frame."""
    values = signal.as_dict()
    largest = max(values, key=lambda name: len(wire.encode({name: values[name]})))
    return InvalidSignal(largest, f"is too large: a signal has room in {wire.MAX_FRAME} bytes; send a link to the rest")
