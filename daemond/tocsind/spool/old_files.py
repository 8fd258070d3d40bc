"""Files of earlier versions: one signal per line, as JSON. A person may write one, too."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

import msgspec

from tocsin.errors import InvalidSignal
from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsin.wire import MAX_FRAME

FILE_NAME = ".jsonl"  # how their names end
MAX_FILE_BYTES = 8 * MAX_FRAME  # of one file: as many signals as one frame holds, which take more bytes as JSON
AT_ONCE = 2.0  # s; a signal that is imported so soon has the time of its acceptance, like one from the socket
MAX_LINES = 5000  # as many signals as one request may have; a client writes 500
_MAX_ERRORS = 10  # reported of one file
_LONGEST = 200  # characters of a user's text in an error or an event: both stay in memory and go to the log


def plain(text: str) -> str:
    """A user's text, cut, and with lone surrogates replaced: a file's name may be any bytes."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


class SpoolFile(msgspec.Struct, frozen=True):
    """The content of one file. `uid` and `gid` are its owner's; `errors` name each invalid line and its fault; `age` is in seconds."""

    name: str
    uid: int
    gid: int
    signals: list[Signal]
    errors: list[str]
    age: float = 0.0


def parse(name: str, content: bytes, owner: tuple[int, int], written: float, now: float) -> SpoolFile:
    """Read a file's content. `written` and `now` are wall-clock seconds."""
    signals: list[Signal] = []
    errors: list[str] = []
    lines = content.rstrip(b"\n").split(b"\n")
    seen: Counter[bytes] = Counter()
    if len(lines) > MAX_LINES:
        return SpoolFile(name, *owner, [], [f"it has more than {MAX_LINES} lines"])
    for number, line in enumerate(lines, 1):
        if line.strip():
            seen[line] += 1
            try:
                signals.append(aged(_signal(line, f"{name}:{seen[line]}:", written), written, now))
            except InvalidSignal as error:
                errors.append(plain(f"line {number}: {error}"))
    if not signals and not errors:
        errors.append("it is empty")
    return SpoolFile(name, *owner, signals, errors[:_MAX_ERRORS], max(0.0, now - written))


def _signal(line: bytes, place: str, written: float) -> Signal:
    """The signal in a line. Without an id it gets one made from the line and the file's name: the lines around it may be corrected."""
    values = _values(line)
    if values.get("id") is None:
        digest = hashlib.sha256(place.encode("utf-8", "surrogateescape") + line).digest()
        values["id"] = id_of(_named_milliseconds(place) or int(written * 1000), digest[:10])
    return Signal.from_dict(values)


def _named_milliseconds(name: str) -> int | None:
    """When a file was written, by its name: its modification time changes when a person corrects it."""
    nanoseconds = re.match(r"[0-9]{19}(?![0-9])", name)
    return int(nanoseconds[0]) // 1_000_000 if nanoseconds else None


def _values(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidSignal("line", f"is no JSON object: {error}") from None


def aged(signal: Signal, written: float, now: float) -> Signal:
    """The signal with the time of its writing, when it has no time of its own and is older than AT_ONCE."""
    if now - written <= AT_ONCE or signal.timestamp is not None or signal.timestamp_text is not None:
        return signal
    return Signal.trusted({**signal.as_dict(), "timestamp": written})
