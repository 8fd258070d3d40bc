"""Request bodies: JSON, a form, or multipart with files."""

from __future__ import annotations

import hashlib
from email import message_from_bytes, policy
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from tocsind.http_server import Reply, Request
from tocsind.testing import answers
from tocsind.testing.forms import Json

MOST_FILE: Final = 10 * 1024 * 1024
"""Bytes of one file; a webhook has no boosted guild to lift it."""

MOST_REQUEST: Final = 25 * 1024 * 1024
"""Bytes of all that comes in one request."""


class Body(msgspec.Struct, frozen=True):
    """What a request brought: any JSON value, and its files as attachment objects, with the `sha256` that proves their content."""

    value: Any
    attachments: tuple[Json, ...] = ()


def read_body(request: Request) -> Body | Reply:
    """The body, or the refusal it deserves before anyone looks at the message."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(request)
    if kind == "application/x-www-form-urlencoded":
        return _form(dict(parse_qsl(request.body.decode("utf-8", "replace"))))
    if kind != "application/json":
        return answers.empty_message()  # a body Discord does not read is a body that says nothing
    return _json(request.body)


def _json(raw: bytes | str, attachments: tuple[Json, ...] = ()) -> Body | Reply:
    try:
        return Body(msgspec.json.decode(raw), attachments)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return answers.invalid_json()


def _form(fields: dict[str, str], attachments: tuple[Json, ...] = ()) -> Body | Reply:
    if "payload_json" in fields:
        return _json(fields["payload_json"], attachments)
    return Body(fields, attachments)


def _multipart(request: Request) -> Body | Reply:
    if len(request.body) > MOST_REQUEST:
        return answers.too_large()
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    whole = message_from_bytes(head + request.body, policy=policy.HTTP)
    fields: dict[str, str] = {}
    files: list[Json] = []
    for part in whole.iter_parts():
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        if filename := part.get_filename():
            digest = hashlib.sha256(data).hexdigest()
            files.append({"id": str(len(files)), "filename": filename, "size": len(data), "sha256": digest})
        else:
            fields[str(part.get_param("name", header="content-disposition"))] = data.decode("utf-8", "replace")
    if any(file["size"] > MOST_FILE for file in files):
        return answers.too_large()
    return _form(fields, tuple(files))
