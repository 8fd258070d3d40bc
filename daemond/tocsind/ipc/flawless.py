"""Hand-offs that need no second look, read in one pass: most of what comes, for the client checks and normalises before it sends.

What is described here is exactly what `tocsin.signals` makes of good values, so that for whatever passes, checking again would change
nothing (tests/daemon/test_flawless.py holds the two against each other). All else, wrong or merely unusual, is not read here at all: it
takes the careful way, which normalises it or says what is wrong.
"""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tocsin.ids import new_id
from tocsin.wire import PROTOCOL
from tocsind.requests import Ack
from tocsind.sources import is_reserved

_WHOLE = 2**63 - 1
_LARGEST_SECONDS = 1e11  # more is some finer unit of time, which the careful way reads

Text = Annotated[str, Meta(max_length=256)] | None
Whole = Annotated[int, Meta(ge=-_WHOLE, le=_WHOLE)]


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A signal's fields in their normal form."""

    title: Annotated[str, Meta(min_length=1, max_length=256)]
    body: Annotated[str, Meta(max_length=4096)] | None = None
    priority: Literal["urgent", "high", "normal", "low"] | None = None
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    tier: Text = None
    strategy: Text = None
    symbol: Text = None
    action: Text = None
    price: float | None = None
    fields: dict[str, str | Whole | float | bool | None] | None = None
    tags: list[str] | None = None
    key: Text = None
    expires: Annotated[float, Meta(gt=0)] | None = None
    timestamp: Annotated[float, Meta(gt=-_LARGEST_SECONDS, lt=_LARGEST_SECONDS)] | None = None
    link: Text = None
    to: list[str] | None = None
    source: Text = None
    id: Annotated[str, Meta(pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}$")] = ""  # until it has one


class One(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="send"):
    """A `send`."""

    signal: Form
    v: int = PROTOCOL
    ack: Ack = "stored"

    @property
    def forms(self) -> list[Form]:
        """All that is handed over."""
        return [self.signal]


class Many(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="send_many"):
    """A `send_many`."""

    signals: list[Form]
    v: int = PROTOCOL
    ack: Ack = "stored"

    @property
    def forms(self) -> list[Form]:
        """All that is handed over."""
        return self.signals


HandOff = One | Many

_json = msgspec.json.Decoder(HandOff)
_msgpack = msgspec.msgpack.Decoder(HandOff)
_encode = msgspec.msgpack.Encoder().encode


def read(body: bytes) -> HandOff | None:
    """The hand-off in a frame's body; None when it is anything else, or not flawless."""
    try:
        request: HandOff = (_json if body.startswith(b"{") else _msgpack).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return request if request.v == PROTOCOL else None


def signal(form: Form) -> tuple[Form, bytes] | None:
    """What stands for the signal, and its fields as MessagePack; None when something is amiss that a type cannot say."""
    title = form.title
    if title[0].isspace() or title[-1].isspace() or not _is_finite(form) or is_reserved(form.source):
        return None
    if not form.id:
        form = msgspec.structs.replace(form, id=new_id())
    return form, _encode(form)


def _is_finite(form: Form) -> bool:
    """MessagePack can say infinity and NaN, and neither gets lost in a sum."""
    fields = sum(value for value in form.fields.values() if isinstance(value, float)) if form.fields else 0.0
    return isfinite(
        (form.confidence or 0.0) + (form.price or 0.0) + (form.expires or 0.0) + (form.timestamp or 0.0) + fields
    )
