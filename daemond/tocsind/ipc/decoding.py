"""Decodes the body of a frame into a request, from MessagePack or JSON."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import msgspec

from tocsin.wire import PROTOCOL

from .connection import Refusal
from .lenient_json import lenient_json
from .protocol import AnyRequest

_json = msgspec.json.Decoder(AnyRequest)
_msgpack = msgspec.msgpack.Decoder(AnyRequest)
_MANY_OBJECTS = 16 * 2**10  # bytes; a larger frame is decoded with the garbage collector off


class _Version(msgspec.Struct, frozen=True):
    """The part of a request that all protocol versions share."""

    v: int = PROTOCOL


_json_version = msgspec.json.Decoder(_Version)
_msgpack_version = msgspec.msgpack.Decoder(_Version)


def decode(body: bytes) -> AnyRequest:
    """The request in a frame's body. Raises Refusal."""
    try:
        with _without_collector() if len(body) > _MANY_OBJECTS else nullcontext():
            request = _decode(body)
    except msgspec.ValidationError as error:
        _check_version(_version(body))  # another version may have other operations and fields: report the version first
        raise _decode_error(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Refusal("broken-frame", f"neither MessagePack nor JSON of a request: {reason}", closes=True) from None
    _check_version(request.v)
    return request


@contextmanager
def _without_collector() -> Iterator[None]:
    """The garbage collector would scan the growing result a hundred times: 300 ms instead of 20 for 256 KiB of empty lists."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode(body: bytes) -> AnyRequest:
    request: AnyRequest
    if not body.startswith(b"{"):
        request = _msgpack.decode(body)
        return request
    try:
        request = _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError) and "out of range" not in str(error):
            raise
        request = msgspec.convert(lenient_json(body, error), AnyRequest)
    return request


def _version(body: bytes) -> int:
    """The version in a request; PROTOCOL when there is none that can be read."""
    try:
        return (_json_version if body.startswith(b"{") else _msgpack_version).decode(body).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return PROTOCOL


def _check_version(version: int) -> None:
    if version != PROTOCOL:
        raise Refusal("protocol", f"this daemon speaks version {PROTOCOL} of the protocol, not {version}")


def _decode_error(error: str) -> Refusal:
    if error.endswith(("at `$.op`", "field `op`")):
        operations = ", ".join(sorted(each.__struct_config__.tag for each in AnyRequest.__args__))
        return Refusal("unknown-op", f"no such operation; there are {operations}")
    return Refusal("bad-request", error)
