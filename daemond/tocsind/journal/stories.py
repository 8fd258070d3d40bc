"""Jobs for live messages that go on at another host (`shared`)."""

from __future__ import annotations

import sqlite3

import msgspec

from tocsind.policy.live_message import Line

_encode = msgspec.msgpack.Encoder().encode
_lines_of = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


class Story(msgspec.Struct, frozen=True, array_like=True):
    """The live message of a key: hash of the webhook that holds it, its id, and the states that it shows."""

    about: str
    message: str
    lines: tuple[Line, ...]
    earlier: int
    maybe_duplicate: bool


def story(connection: sqlite3.Connection, destination: str, key: str) -> Story | None:
    """The content of the live message of a key; None without one that can be edited."""
    row = connection.execute(
        "SELECT about, message, lines, earlier, doubt FROM living"
        " WHERE destination = ? AND key = ? AND message IS NOT NULL",
        (destination, key),
    ).fetchone()
    return Story(row[0], row[1], _lines_of(row[2]), row[3], bool(row[4])) if row else None


def adopt(connection: sqlite3.Connection, destination: str, key: str, story: Story) -> None:
    """Go on with a message that another host posted. Its states precede all that wait here, so they get numbers that no signal has."""
    n = len(story.lines)
    lines = [msgspec.structs.replace(line, order=place - n) for place, line in enumerate(story.lines)]
    connection.execute(
        "INSERT OR REPLACE INTO living (destination, key, about, message, newest, lines, earlier, doubt)"
        " VALUES (?, ?, ?, ?, -1, ?, ?, ?)",
        (destination, key, story.about, story.message, _encode(lines), story.earlier, story.maybe_duplicate),
    )
