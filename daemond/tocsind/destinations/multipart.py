"""A request body with files: multipart/form-data as Discord expects it, the message in `payload_json`, each file in `files[n]`.

In file names quotes and line breaks are escaped as browsers escape them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .http import Body


class File(NamedTuple):
    """One file; `place` is its id in the message."""

    place: int
    name: str
    content: bytes


def multipart(message: bytes, files: Sequence[File]) -> Body:
    """The body that carries a JSON message and its files."""
    boundary = f"tocsin-{os.urandom(16).hex()}"
    return Body(f"multipart/form-data; boundary={boundary}", list(_parts(boundary, message, files)))


def _parts(boundary: str, message: bytes, files: Sequence[File]) -> Iterator[bytes]:
    yield _head(boundary, 'name="payload_json"', "application/json")
    yield message
    for file in files:
        yield _head(
            boundary, f'name="files[{file.place}]"; filename="{_quoted(file.name)}"', "application/octet-stream"
        )
        yield file.content
    yield f"\r\n--{boundary}--\r\n".encode()


def _head(boundary: str, disposition: str, kind: str) -> bytes:
    return f"\r\n--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {kind}\r\n\r\n".encode()


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
