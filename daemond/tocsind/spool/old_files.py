"""Files of earlier versions: a hand-off each, a signal a line, as JSON. A person may write one, too. They are taken in as they come."""

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
MAX_FILE_BYTES = 8 * MAX_FRAME  # of one file: a frame's worth of signals, which JSON may write more lengthily
AT_ONCE = 2.0  # s; what is taken in so soon happened when it was accepted, as what comes over the socket did
MAX_LINES = 5000  # as many as the door takes in one request; a client writes 500
_MAX_ERRORS = 10  # of one file: whoever reads them mends the first and looks again
_LONGEST = 200  # characters of other people's words in a fault or a fact: both stay in memory and go to the log


def plain(text: str) -> str:
    """Other people's words as text that can be encoded: a file's name may be any bytes."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


class SpoolFile(msgspec.Struct, frozen=True):
    """One file, read. `uid` and `gid` are its owner's; `faults` say what is wrong with which line; `age` is in seconds."""

    name: str
    uid: int
    gid: int
    signals: list[Signal]
    errors: list[str]
    age: float = 0.0


def parse(name: str, content: bytes, owner: tuple[int, int], written: float, now: float) -> SpoolFile:
    """The letter in a file's content. `written` and `now` are wall-clock seconds."""
    signals: list[Signal] = []
    faults: list[str] = []
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
                faults.append(plain(f"line {number}: {error}"))
    if not signals and not faults:
        faults.append("it is empty")
    return SpoolFile(name, *owner, signals, faults[:_MAX_ERRORS], max(0.0, now - written))


def _signal(line: bytes, place: str, written: float) -> Signal:
    """The signal in a line. Its id, when it brings none, is that of these words in this file: a person may mend the lines around it."""
    values = _values(line)
    if values.get("id") is None:
        digest = hashlib.sha256(place.encode("utf-8", "surrogateescape") + line).digest()
        values["id"] = id_of(_named_milliseconds(place) or int(written * 1000), digest[:10])
    return Signal.from_dict(values)


def _named_milliseconds(name: str) -> int | None:
    """When a file was written, by its name: the time that the kernel keeps changes when somebody mends it."""
    nanoseconds = re.match(r"[0-9]{19}(?![0-9])", name)
    return int(nanoseconds[0]) // 1_000_000 if nanoseconds else None


def _values(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidSignal("line", f"is no JSON object: {error}") from None


def aged(signal: Signal, written: float, now: float) -> Signal:
    """The signal, raised when it was written, where it says nothing else and that was a while ago."""
    if now - written <= AT_ONCE or signal.timestamp is not None or signal.timestamp_text is not None:
        return signal
    return Signal.trusted({**signal.as_dict(), "timestamp": written})
