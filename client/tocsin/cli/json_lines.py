"""`tocsin send --json-lines`: one signal a line, sent as they arrive.

Lines that can be read without waiting are sent in one frame, so a file is sent fast; a line is never held back, so a pipe can stay open for
days. An invalid line is reported with its number, and the others are sent. Without a daemon the signals go to the spool.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any

from tocsin.client import Client
from tocsin.errors import InvalidSignal, TocsinError
from tocsin.frames import MOST_IN_A_FRAME, fits, frames
from tocsin.signals import Receipt, Signal
from tocsin.wire import MAX_FRAME

from .exit_codes import BAD_DATA, OK, TRY_LATER, UNREADABLE, USAGE, Failure, failure_of
from .output import print_json, print_line, print_note
from .parsing import Found, client

_CHUNK = 64 * 1024  # with ids added it still fits one frame, so that a failure concerns the lines of one frame
_SHORT_TIMEOUT = 0.25  # seconds for each further frame after one had to be spooled


def send_lines(found: Found) -> int:
    """Send the lines of a file or stdin. Returns 0, 65 when a line was not a signal, 75 when lines should be sent again."""
    if found.title is not None or found.body is not None or found.wait is not None:
        raise Failure(USAGE, "usage", "--json-lines excludes TITLE, --body and --wait; see `tocsin send --help`")
    with _opened(found.json_lines) as stream, client(found, strict=found.strict) as daemon:
        run = _Run(daemon, as_json=found.json)
        for lines in _batches(stream):
            run.send_batch(lines)
    return run.code


def _opened(name: str) -> BufferedIOBase:
    try:
        return open(sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-")
    except (OSError, AttributeError) as error:  # AttributeError: stdin is closed
        raise Failure(
            UNREADABLE, "unreadable", f"cannot read {name}: {getattr(error, 'strerror', 'it is closed')}"
        ) from error


def _batches(stream: BufferedIOBase) -> Iterator[list[bytes | None]]:
    """Yields lines, as many as can be read without waiting and fit one frame. None stands for a line that is too long for a frame."""
    rest, skips = b"", False  # skips: the start of this line was discarded
    while chunk := _read(stream):
        first, *others = (rest + chunk).split(b"\n")
        lines: list[bytes | None] = [None if skips else first, *others]
        skips = skips and not others
        rest = lines.pop() or b""
        for start in range(0, len(lines), MOST_IN_A_FRAME):
            yield lines[start : start + MOST_IN_A_FRAME]
        if skips or len(rest) > MAX_FRAME:
            _check_ends(stream)
            rest, skips = b"", True
    if rest or skips:
        yield [None if skips else rest]


def _check_ends(stream: BufferedIOBase) -> None:
    """Raises Failure for a character device, which may have no end and no lines."""
    if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
        raise Failure(BAD_DATA, "too-large", f"a line has more than {MAX_FRAME} bytes: is it one JSON object a line?")


def _read(stream: BufferedIOBase) -> bytes:
    try:
        return stream.read1(_CHUNK)
    except OSError as error:
        raise Failure(UNREADABLE, "unreadable", f"read error: {error.strerror}") from error


class _Run:
    """One pass over the lines: the current line's number, and the exit code so far."""

    def __init__(self, daemon: Client, *, as_json: bool) -> None:
        self.code = OK
        self._daemon = daemon
        self._patience = daemon.timeout
        self._spooled = False
        self._as_json = as_json
        self._number = 0

    def send_batch(self, lines: list[bytes | None]) -> None:
        """Send one batch, and print the result of each line."""
        numbered = list(self._signals(lines))
        for frame in frames(signal for _, signal in numbered):
            mine, numbered = numbered[: len(frame)], numbered[len(frame) :]
            for (number, _), receipt in zip(mine, self._submitted(frame, mine[0][0]), strict=True):
                self._print(number, receipt)

    def _submitted(self, frame: list[Signal], first: int) -> list[Receipt]:
        try:
            receipts = self._daemon.submit_frame(frame)
        except TocsinError as error:
            for _ in frame:
                self._daemon.losses.add("dropped")
            failure = failure_of(error)
            failure.message = f"lines from {first} on may not have been stored: {failure.message}"
            failure.facts |= {"line": first}
            raise failure from error
        spooled = receipts[0].state == "spooled"
        if spooled and not self._spooled:
            print_note(f"line {first} and following: spooled: {receipts[0].reason}")
        self._spooled = spooled
        self._daemon.timeout = min(self._patience, _SHORT_TIMEOUT) if spooled else self._patience
        return receipts

    def _signals(self, lines: list[bytes | None]) -> Iterator[tuple[int, Signal]]:
        for line in lines:
            self._number += 1
            if line is None:
                self._print(self._number, Receipt("", "refused", f"line: has more than {MAX_FRAME} bytes"))
            elif line.strip():
                try:
                    yield self._number, self._noted(fits(_signal(line)))
                except InvalidSignal as error:
                    self._daemon.losses.add("refused")
                    self._print(self._number, Receipt("", "refused", str(error)))

    def _noted(self, signal: Signal) -> Signal:
        """The signal, after a note on values that were converted."""
        if signal.input_notes:
            print_note(f"line {self._number}: {'; '.join(signal.input_notes)}")
        return signal

    def _print(self, number: int, receipt: Receipt) -> None:
        if not receipt.accepted:
            self.code = max(self.code, TRY_LATER) if receipt.state == "dropped" else self.code or BAD_DATA
            print_note(f"line {number}: {receipt.state}: {receipt.reason}")
        if self._as_json:
            print_json({"schema": 1, "ok": receipt.accepted, "line": number, **_facts(receipt)}, now=True)
        elif receipt.accepted:
            print_line(receipt.id)


def _facts(receipt: Receipt) -> dict[str, Any]:
    return {"id": receipt.id or None, "state": receipt.state, "reason": receipt.reason}


def _whole(digits: str) -> int | str:
    """A whole number; as text where it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _signal(line: bytes) -> Signal:
    try:
        values = json.loads(line, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise InvalidSignal("line", f"is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise InvalidSignal("line", f"must be an object, not {type(values).__name__}")
    return Signal.from_dict(values)
