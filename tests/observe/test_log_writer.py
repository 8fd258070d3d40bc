"""A log without a reader: real pipes, and writes that block or fail when the test says so."""

from __future__ import annotations

import os
import threading
import time

import pytest

from tocsind.observe.log_writer import LogWriter, to_descriptor

PATIENCE = 20.0


class Reader:
    """A reader: writes block until the test releases them, and fail while `error` is set."""

    def __init__(self) -> None:
        self.text = ""
        self.entered = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self.error: OSError | None = None

    def write(self, data: bytes) -> None:
        self.entered.release()
        assert self.may_go.acquire(timeout=PATIENCE)
        if self.error is not None:
            raise self.error
        self.text += data.decode()

    def go_on(self) -> None:
        for _ in range(1000):
            self.may_go.release()


def missing(lines: int) -> str:
    return f"{lines} missing"


def test_log_writer_drops_lines_beyond_its_buffer_and_counts_them() -> None:
    reader = Reader()
    writer = LogWriter(reader.write, missing, most=50)
    writer.put("in the write")
    assert reader.entered.acquire(timeout=PATIENCE)
    for number in range(10):
        writer.put(f"line {number:04}")  # ten bytes with the line feed
    assert writer.dropped == 5
    reader.go_on()
    writer.close(PATIENCE)
    assert reader.text.splitlines() == ["in the write", *(f"line {number:04}" for number in range(5)), "5 missing"]


def test_log_writer_continues_behind_the_gap() -> None:
    reader = Reader()
    writer = LogWriter(reader.write, missing, most=50)
    writer.put("in the write")
    assert reader.entered.acquire(timeout=PATIENCE)
    writer.put("x" * 49)
    writer.put("dropped")
    writer.put("dropped")
    reader.may_go.release()
    assert reader.entered.acquire(timeout=PATIENCE), "the second write has the rest"
    writer.put("later")
    reader.go_on()
    writer.close(PATIENCE)
    assert reader.text.splitlines() == ["in the write", "x" * 49, "2 missing", "later"]
    assert writer.dropped == 2


def test_log_writer_close_has_a_deadline() -> None:
    reader = Reader()
    writer = LogWriter(reader.write, missing)
    writer.put("x")
    assert reader.entered.acquire(timeout=PATIENCE)
    began = time.monotonic()
    writer.close(0.1)
    assert time.monotonic() - began < PATIENCE / 2
    writer.put("too late")
    assert writer.dropped == 1
    reader.go_on()


def test_log_writer_reports_the_lines_of_failed_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsind.observe.log_writer._RETRY_SECONDS", 0.0)
    reader = Reader()
    reader.error = OSError(28, "No space left on device")
    writer = LogWriter(reader.write, missing)
    for number in range(3):
        writer.put(f"lost {number}")
        assert reader.entered.acquire(timeout=PATIENCE)
        reader.may_go.release()
        with writer._changed:
            assert writer._changed.wait_for(lambda: writer._failing, PATIENCE)
    assert writer.dropped == 3
    reader.error = None
    reader.go_on()
    writer.put("kept")
    writer.close(PATIENCE)
    assert reader.text.splitlines() == ["3 missing", "kept"]
    assert writer.dropped == 3


@pytest.mark.parametrize("blocking", [True, False])
def test_log_writer_writes_all_bytes_in_either_blocking_mode(blocking: bool) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    writer = LogWriter(to_descriptor(writing), missing)
    lines = [f"{number:0999}" for number in range(200)]
    for line in lines:
        writer.put(line)
    got = b""
    while len(got) < 200 * 1000:
        got += os.read(reading, 65536)
    writer.close(PATIENCE)
    assert got.decode().splitlines() == lines
    os.close(reading)
    os.close(writing)


def test_log_writer_escapes_lone_surrogates() -> None:
    reader = Reader()
    reader.go_on()
    writer = LogWriter(reader.write, missing)
    writer.put("a\udc80b")
    writer.close(PATIENCE)
    assert reader.text == "a\\udc80b\n"
