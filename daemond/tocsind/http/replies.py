"""Answers that no handler needs to spell out."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tocsind.http_server import Reply

NO_STORE: Final = {"Cache-Control": "no-store"}


def plain(status: int, text: str, **headers: str) -> Reply:
    """One line of text."""
    head = {**NO_STORE, **headers, "Content-Type": "text/plain; charset=utf-8"}
    return Reply(status, head, f"{text}\n".encode())


def as_json(status: int, value: Any, **headers: str) -> Reply:
    """Any value, as JSON."""
    return Reply(status, {**NO_STORE, **headers, "Content-Type": "application/json"}, msgspec.json.encode(value))
