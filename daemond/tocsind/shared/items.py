"""Deliveries that hosts hand over through the engine, as bytes; and the state that they leave for the next holder of a lease.

Instants are on the engine's clock (seconds) there, and on each host's own clocks here: `Offset` converts. Data from the engine is checked
like any input from outside: another version or another program may have written it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isfinite
from typing import Final, TypeVar

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.signals import Signal
from tocsind.journal import LaneState, LimitState
from tocsind.journal.shared import Ended, Leaving
from tocsind.journal.shared_arrivals import Arriving
from tocsind.journal.shared_view import Try
from tocsind.journal.stories import Story
from tocsind.policy.delivery import SETTLED, Delivery, State

from .engine import UNREADABLE, Done, Item, Stored

AnyState = TypeVar("AnyState", LaneState, LimitState)

VERSION: Final = 1
HOST_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,96}")
_LARGEST: Final = 1e15
_SLASHES: Final = 2  # in an id; one more in that of a repetition or retry
_STATES: Final = frozenset(state.value for state in SETTLED)
_ARRIVED: Final = frozenset({State.SENT.value, State.DIGESTED.value})
LAST_SENDER: Final = "last sender"  # the host whose journal knows at least as much as the engine
_LIMIT, _LANE, _STORY = "limit ", "lane ", "story "
_signal_of = msgspec.msgpack.Decoder(dict[str, object]).decode
_encode = msgspec.msgpack.Encoder().encode


class _Body(msgspec.Struct, frozen=True, array_like=True):
    version: int
    far: str  # fingerprint of the far end
    origin: str
    signal: bytes
    accepted: float  # on the wall clock of its host
    waits_since: float
    deadline: float | None
    key: str | None
    ends: bool
    raw: bool
    doubt: bool
    repeats: int = 0
    retries: int = 0


class _Result(msgspec.Struct, frozen=True, array_like=True):
    state: str
    reason: str | None
    message: str | None
    host: str
    tries: tuple[Try, ...] = ()
    doubt: bool = False
    note: str | None = None
    covered: bool = False


class Unreadable(Exception):  # noqa: N818 - names the condition
    """An entry of the engine is no delivery."""


def _is_sound(values: msgspec.Struct) -> bool:
    """Whether a journal can store these: no infinity, no number beyond a column."""
    numbers = [each for each in msgspec.structs.astuple(values) if isinstance(each, int | float)]
    return all(isfinite(each) and abs(each) < _LARGEST for each in numbers)


class OtherVersion(Exception):  # noqa: N818 - names the condition
    """A host with another version of tocsin handed it over."""


def id_of(host: str, delivery: Delivery) -> str:
    """The id over all hosts of a delivery, or of its present repetition or retry: the end of the one before is not its end."""
    id_, repeats = f"{host}/{delivery.id}/{delivery.destination}", max(0, delivery.repeats)
    if delivery.retries:
        return f"{id_}/{repeats}r{delivery.retries}"
    return f"{id_}/{repeats}" if repeats else id_


def item_of(leaving: Leaving, host: str, far: str, offset: float, epoch: str) -> Item:
    """A delivery of this host, for the others. A file stays where it is. `offset`: engine's clock minus this host's steady clock;
    `epoch`: the present one.
    """
    delivery = leaving.delivery
    values = delivery.signal.as_dict()
    values.setdefault("host", os.uname().nodename)  # readers have to know it, now that there are several
    if delivery.signal.has_file:
        values["attach_note"] = f"{values.pop('attach')} is on {host}"
    deadline = None if delivery.deadline is None else delivery.deadline + offset
    packed = _encode(
        _Body(
            VERSION,
            far,
            host,
            _encode(values),
            delivery.accepted,
            delivery.accepted + delivery.skew + offset,
            deadline,
            leaving.key,
            leaving.ends,
            leaving.raw,
            delivery.maybe_duplicate,
            max(0, delivery.repeats),
            delivery.retries,
        )
    )
    return Item(id_of(host, delivery), delivery.priority, packed, leaving.epoch or epoch)


def arriving(stored: Stored, priority: int, offset: float) -> tuple[str, Arriving]:
    """The delivery that another host handed over, and the fingerprint of its far end. Raises Unreadable, OtherVersion."""
    try:
        body = msgspec.msgpack.decode(stored.body, type=_Body)
        if body.version != VERSION:
            raise OtherVersion
        if not (stored.id.startswith(f"{body.origin}/") and HOST_NAME.fullmatch(body.origin)):
            raise Unreadable("it says that another host accepted it")
        if not _is_sound(body):
            raise Unreadable("it has a number that is none")
        is_again = body.repeats > 0 or body.retries > 0
        if min(body.repeats, body.retries) < 0 or is_again != (stored.id.count("/") == _SLASHES + 1):
            raise Unreadable("its id is not that of its repetition")
        signal = Signal.from_dict(_signal_of(body.signal))
    except (*UNREADABLE, InvalidSignal, ValueError, TypeError) as error:
        raise Unreadable(str(error)) from None
    deadline = None if body.deadline is None else body.deadline - offset
    return body.far, Arriving(
        id=stored.id,
        origin=body.origin,
        signal=signal.id,
        body=_encode(signal.as_dict()),
        priority=priority,
        accepted=body.accepted,
        skew=body.waits_since - offset - body.accepted,
        deadline=deadline,
        key=body.key,
        ends=body.ends,
        raw=body.raw,
        attempted=stored.attempted or body.doubt,
        lapsed=stored.lapsed,
        repeats=body.repeats,
        is_again=is_again,
        attempted_by=stored.attempted_by if HOST_NAME.fullmatch(stored.attempted_by) else "",
    )


def done_of(ended: Ended, host: str, offset: float) -> Done:
    """How a delivery ended here, for the host that accepted it. `offset` as in `item_of`."""
    tries = tuple(_at(each, offset) for each in ended.tries)
    result = _Result(ended.state, ended.reason, ended.message, host, tries, ended.doubt, ended.note, ended.covered)
    return Done(ended.id, ended.origin, _encode(result), ended.state in _ARRIVED)


def _at(made: Try, offset: float) -> Try:
    ended = None if made.ended is None else made.ended + offset
    return msgspec.structs.replace(made, started=made.started + offset, ended=ended)


def ended_of(done: Done, offset: float) -> tuple[Ended, str]:
    """How a delivery of this host ended, and at which host. Raises Unreadable."""
    try:
        result = msgspec.msgpack.decode(done.result, type=_Result)
    except UNREADABLE as error:
        raise Unreadable(str(error)) from None
    if result.state not in _STATES or not HOST_NAME.fullmatch(result.host):
        raise Unreadable("it names no state or no host")
    state = "sent" if result.state == "digested" else result.state
    tries = [_at(each, -offset) for each in result.tries if _is_sound(each)]
    ended = Ended(
        done.id,
        done.origin,
        state,
        result.reason,
        result.message,
        result.host,
        tries,
        result.doubt,
        result.note,
        result.covered,
    )
    return ended, result.host


# --- state of earlier holders ------------------------------------------------------------------------------------------------


def states_of(far: str, lane: LaneState | None, limits: Iterable[LimitState], offset: float) -> dict[str, bytes]:
    """The state of a lane and its limits, without that of this host's own address."""
    found = {
        f"{_LIMIT}{each.scope}": packed_limit(each, offset) for each in limits if not each.scope.startswith("address:")
    }
    if lane is not None:
        found[f"{_LANE}{far}"] = _encode(_moved(lane, offset))
    return found


def lane_in(state: Mapping[str, bytes], far: str, name: str, offset: float) -> LaneState | None:
    """The state that earlier holders left of a far end; None without it, or when it cannot be read."""
    packed = state.get(f"{_LANE}{far}")
    try:
        found = msgspec.msgpack.decode(packed, type=LaneState) if packed else None
    except UNREADABLE:
        return None
    return (
        None
        if found is None or not _is_sound(found)
        else msgspec.structs.replace(_moved(found, -offset), destination=name)
    )


def story_state(far: str, key: str, story: Story | None) -> dict[str, bytes]:
    """The content of the live message of a key, or that there is none to continue."""
    return {f"{_STORY}{far} {key}": _encode(story) if story else b""}


def stories_in(state: Mapping[str, bytes], far: str) -> dict[str, Story]:
    """The live messages of a far end by key, without those that cannot be read."""
    found = {}
    for name, packed in state.items():
        if packed and name.startswith(start := f"{_STORY}{far} "):
            with suppress(*UNREADABLE):
                story = msgspec.msgpack.decode(packed, type=Story)
                if _is_sound(story):
                    found[name.removeprefix(start)] = story
    return found


def limits_in(state: Mapping[str, bytes], offset: float) -> list[LimitState]:
    """The limits as earlier holders learned them, without those that cannot be read."""
    found = []
    for name, packed in state.items():
        if name.startswith(_LIMIT):
            with suppress(*UNREADABLE):
                limit = msgspec.msgpack.decode(packed, type=LimitState)
                if _is_sound(limit):
                    found.append(_moved(limit, -offset))
    return found


def packed_limit(limit: LimitState, offset: float) -> bytes:
    """A limit as this host learned it."""
    return _encode(_moved(limit, offset))


def limit_in(packed: bytes, name: str, offset: float) -> LimitState | None:
    """The limit of this name as hosts learned it; None without it, or when it cannot be read."""
    found = limits_in({f"{_LIMIT}{name}": packed}, offset) if packed else []
    return next((limit for limit in found if limit.scope == name), None)


_INSTANTS: Final = ("rest_until", "failing_since", "blocked_until", "learned_at")


def _moved(state: AnyState, offset: float) -> AnyState:
    changes = {name: at + offset for name in _INSTANTS if (at := getattr(state, name, None)) is not None}
    return msgspec.structs.replace(state, **changes)
