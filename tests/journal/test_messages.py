"""The present state of a message that may be edited: it stands in the signal that was stored first."""

from __future__ import annotations

import sqlite3

import msgspec
from tests.journal.factories import fed, put

from tocsind.journal import messages


def test_message_of_unknown_id_is_none(database: sqlite3.Connection) -> None:
    assert messages.load(database, "0" * 26) is None


def test_saved_message_is_what_is_read_and_sent(database: sqlite3.Connection) -> None:
    id_ = put(database, "a", payload={"content": "before"})
    body = messages.load(database, id_)
    assert body is not None
    values = {**msgspec.msgpack.decode(body), "payload": {"content": "after"}}
    messages.save(database, id_, msgspec.msgpack.encode(values))
    assert messages.load(database, id_) == msgspec.msgpack.encode(values)
    assert [delivery.signal.payload for delivery in fed(database, "a")] == [{"content": "after"}]
