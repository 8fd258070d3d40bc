"""multipart/form-data, read: parts with their names, file names and contents (RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from itertools import islice
from typing import Final, NamedTuple

_MOST_PARTS: Final = 100
_MOST_HEAD: Final = 8192  # bytes of a part's headers


class Part(NamedTuple):
    """One part; `filename` is None for a field that is no file."""

    name: str
    filename: str | None
    content: bytes


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body, in order; what is no part is left out. Copies each content once."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if not boundary:
        return []
    found = (_part(section) for section in _sections(body, b"--" + boundary.encode("utf-8", "replace")))
    return [part for part in found if part is not None]


def _sections(body: bytes, delimiter: bytes) -> Iterator[bytes]:
    """What stands between the lines that are delimiters; without the last one, the part before it is incomplete and left out."""
    line = re.compile(rb"(?:\A|\r\n)" + re.escape(delimiter) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    begin = None
    for found in islice(line.finditer(body), _MOST_PARTS):
        if begin is not None:
            yield body[begin : found.start()]
        if found[1]:
            return
        begin = found.end() + 2


def _part(section: bytes) -> Part | None:
    head, found, content = section.partition(b"\r\n\r\n")
    if not found or len(head) > _MOST_HEAD:
        return None
    headers = HeaderParser().parsestr(head.decode("utf-8", "replace") + "\n\n")
    name = headers.get_param("name", header="content-disposition")
    return Part(str(name), headers.get_filename(), content) if isinstance(name, str) else None
