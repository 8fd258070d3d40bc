"""The protocol, shared by client and daemon.

A frame is a 4-byte big-endian length and a body. The body is one request or one reply: MessagePack, or, when its first byte is `{`,
the same thing as JSON. A reply uses its request's encoding, so anything that can write JSON to a Unix socket can raise a signal.
Requests carry `op`, and `v`, the protocol's version; replies carry `ok`, and, when it is false, `error: {kind, message}`. Replies come
in the order of the requests. The daemon gets the client's user from the socket (SO_PEERCRED), not from a field.

    {"op": "send", "v": 1, "signal": {"title": "BUY BTCUSDT", "priority": "urgent"}, "ack": "stored"}
    {"ok": true, "receipt": {"id": "01J...", "state": "stored", "reason": null}}
"""

from __future__ import annotations

import sys

from .errors import ProtocolMismatch
from .lazy_import import lazy, needed_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_encoder: Callable[[Any], bytes] | None = None  # once it is needed
_decoder: Callable[[str], Any] | None = None

PROTOCOL = 1
HEADER_BYTES = 4
MAX_FRAME = 256 * 1024  # bytes of a request: bounds the memory that a client can make the daemon use
MAX_REPLY = 64 * 1024 * 1024  # bytes: bounds the memory of the client
ACKS = (
    "stored",
    "received",
    "none",
)  # answer after the sync, before it, never; what is not synced has a receipt that says so

IN_MEMORY = "in memory, not yet synced"  # the reason in a receipt that did not wait for the disk

ERROR_KINDS = {
    "broken-frame": "the bytes are no frame of this protocol; the connection closes",
    "too-large": "the frame is over the limit; the connection closes",
    "bad-request": "the request is well-formed but not one the daemon knows",
    "unknown-op": "no such operation",
    "invalid-signal": "a field of the signal is wrong; the message names it",
    "protocol": "the daemon does not speak this version",
    "busy": "too much of this user is open, and the connection closes; or the signal may wait in the spool; try again later",
    "full": "the disk is at its reserve, or the journal cannot be written; try again later",
    "stopping": "the daemon is going away; try again later",
    "not-permitted": "the configuration does not allow it, or not to this user",
    "not-found": "no such signal or destination",
    "not-configured": "the configuration lacks what the request is about",
    "invalid-configuration": "the configuration has mistakes, and the one before it stays in force",
    "internal": "a bug in the daemon, which is leaving because of it",
}


def pack(body: bytes) -> bytes:
    """The frame that carries `body`."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def body_length(header: bytes) -> int:
    """The length that a frame's four header bytes announce."""
    return int.from_bytes(header, "big")


def encode(message: dict[str, Any]) -> bytes:
    """A request's body: MessagePack where msgspec is already loaded, else JSON."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and hasattr(msgspec, "msgpack"):
        return bytes(msgspec.msgpack.encode(message))
    return encode_json(message)


def encode_json(message: dict[str, Any]) -> bytes:
    """A request's body as JSON, on one line."""
    return (_encoder or _make_encoder())(message)


def _make_encoder() -> Callable[[Any], bytes]:
    """json.dumps makes an encoder for each message, which is a third of its cost; and json costs more to import than this package."""
    global _encoder
    try:
        c = lazy("_json")
        parts = c.make_encoder(None, _refuse, c.encode_basestring, None, ":", ",", False, False, False)  # noqa: FBT003 - its order
        _encoder = lambda message: "".join(parts(message, 0)).encode()  # noqa: E731 - another Python has another
        _encoder({"as": ["it", 0.5, True]})
    except Exception:  # noqa: BLE001 - whatever another Python says to that
        encode = lazy("json").JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        _encoder = lambda message: encode(message).encode()  # noqa: E731 - as above
    return _encoder


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")


def request(op: str, fields: Mapping[str, Any]) -> bytes:
    """The body of a request; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return encode({"op": op, "v": PROTOCOL, **given})
    except UnicodeEncodeError:  # an argument of the command line that is not UTF-8
        clean = {
            name: value.encode("utf-8", "replace").decode() if type(value) is str else value
            for name, value in given.items()
        }
        return encode({"op": op, "v": PROTOCOL, **clean})


def decode(body: bytes) -> dict[str, Any]:
    """A reply's body. Raises ProtocolMismatch when it is neither JSON nor MessagePack of an object."""
    try:
        message = _decode(body)
    except Exception as error:
        raise ProtocolMismatch("the answer cannot be read: is that socket tocsind's?") from error
    if not isinstance(message, dict):
        raise ProtocolMismatch("the answer is not an object: is that socket tocsind's?")
    return message


def _decode(body: bytes) -> Any:
    if body[:1] == b"{":
        return (_decoder or _make_decoder())(body.decode())
    return lazy("msgspec").msgpack.decode(body)  # such a reply answers a MessagePack request: it is loaded


class _Scanning:
    """The settings of a JSON scanner."""

    strict, object_hook, object_pairs_hook = True, None, None
    memo: dict[str, str] = {}  # noqa: RUF012 - never changed
    parse_float = parse_constant = float
    parse_int = int


def _make_decoder() -> Callable[[str], Any]:
    global _decoder
    try:
        scan = lazy("_json").make_scanner(_Scanning)
        _decoder = lambda text: _whole(scan(text, 0), text)  # noqa: E731 - as for the encoder
        _decoder('{"as": ["it", 0.5, true]}')
    except Exception:  # noqa: BLE001 - as for the encoder
        loads: Callable[[str], Any] = lazy("json").loads
        _decoder = loads
    return _decoder


def _whole(scanned: tuple[Any, int], text: str) -> Any:
    value, end = scanned
    if text[end:].strip():
        raise ValueError("there is text after the object")
    return value


needed_at_exit(_make_encoder)
needed_at_exit(_make_decoder)
