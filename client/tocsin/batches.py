"""What is handed over, made ready: arguments become signals, signals become runs that fit a frame, mistakes are told by their field."""

from __future__ import annotations

from . import wire
from .answers import describe, receipt_of
from .errors import InvalidSignal
from .signals import Receipt, Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

MOST_IN_A_FRAME = 500  # one commit of the daemon's; more would make other programs wait for ours
_MOST_OF_ONE = 6  # bytes of JSON that a character may take
_ENVELOPE = 64  # bytes of a send_many request around its signals, generously


def ready(title: Any, fields: Mapping[str, Any]) -> Signal:
    """The signal that `send` was given, by its title and fields or ready-made. Raises InvalidSignal."""
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


def all_ready(signals: Iterable[Any], *, strict: bool) -> list[Signal | Receipt]:
    """Each signal, or the receipt that says why it is none. With strict, the first that is none raises."""
    read: list[Signal | Receipt] = []
    for item in _unbroken(signals):
        try:
            read.append(fitting(item))
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


def fitting(item: Any) -> Signal:
    """The signal in `item`, which fits a frame. Raises InvalidSignal."""
    if isinstance(item, Exception):
        raise InvalidSignal("signals", f"cannot be read on: {describe(item)}") from item
    signal = item if isinstance(item, Signal) else _born(lambda: Signal.from_dict(item))
    if _may_be_large(signal) and len(_packed(signal)) + _ENVELOPE > wire.MAX_FRAME:
        raise too_large(signal)
    return signal


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
        part = _packed(signal)
        if run and (len(part) + 1 > room or len(run) == MOST_IN_A_FRAME):
            yield run, parts
            run, parts, room = [], [], wire.MAX_FRAME - _ENVELOPE
        run.append(signal)
        parts.append(part)
        room -= len(part) + 1  # the comma after it
    if run:
        yield run, parts


def send_many_request(parts: Iterable[bytes], ack: str) -> bytes:
    """The request that hands over signals packed as JSON."""
    return b'{"op":"send_many","v":%d,"ack":"%s","signals":[%s]}' % (wire.PROTOCOL, ack.encode(), b",".join(parts))


def _packed(signal: Signal) -> bytes:
    return wire.encode_json(signal.as_dict())


def too_large(signal: Signal) -> InvalidSignal:
    """What is wrong with a signal that fits no frame."""
    values = signal.as_dict()
    largest = max(values, key=lambda name: len(wire.encode({name: values[name]})))
    return InvalidSignal(largest, f"is too large: a signal has room in {wire.MAX_FRAME} bytes; send a link to the rest")
