"""Request bodies: JSON, a form, or multipart with files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tocsind.discord_api import errors
from tocsind.discord_api.multipart import read_parts
from tocsind.http_server import Reply, Request

MOST_FILE: Final = 10 * 1024 * 1024
"""Bytes of one file; a webhook has no boosted guild to lift it."""

MOST_REQUEST: Final = 25 * 1024 * 1024
"""Bytes of all that comes in one request."""


class Upload(msgspec.Struct, frozen=True):
    """A file that came with a request. `id` is the number by which the message refers to it."""

    id: str
    filename: str
    content: bytes


class Body(msgspec.Struct, frozen=True):
    """What a request brought: any JSON value, and files."""

    value: Any
    files: tuple[Upload, ...] = ()


def read_body(request: Request) -> Body | Reply:
    """The body, or the refusal it deserves before anyone looks at the message."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(content_type, request.body)
    if kind == "application/x-www-form-urlencoded":
        return _form(dict(parse_qsl(request.body.decode("utf-8", "replace"))))
    if kind != "application/json":
        return errors.empty_message()  # a body Discord does not read is a body that says nothing
    return _json(request.body)


def _json(raw: bytes | str, files: tuple[Upload, ...] = ()) -> Body | Reply:
    try:
        return Body(msgspec.json.decode(raw), files)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return errors.invalid_json()


def _form(fields: Mapping[str, str], files: tuple[Upload, ...] = ()) -> Body | Reply:
    if "payload_json" in fields:
        return _json(fields["payload_json"], files)
    return Body(dict(fields), files)


def _multipart(content_type: str, body: bytes) -> Body | Reply:
    if len(body) > MOST_REQUEST:
        return errors.too_large()
    fields: dict[str, str] = {}
    files: list[Upload] = []
    for part in read_parts(content_type, body):
        if part.filename:
            files.append(Upload(_id(part.name, len(files)), part.filename, part.content))
        else:
            fields[part.name] = part.content.decode("utf-8", "replace")
    if any(len(file.content) > MOST_FILE for file in files):
        return errors.too_large()
    return _form(fields, tuple(files))


def _id(name: str, place: int) -> str:
    """`files[7]` is the file 7 of the message; other names are numbered as they come."""
    numbered = re.fullmatch(r"files\[([0-9]{1,9})\]", name)
    return numbered[1] if numbered else str(place)
