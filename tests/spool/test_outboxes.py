"""Writer and reader of one outbox together: random interleavings and power cuts."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tocsin import outbox_format
from tocsin.daemon_lock import DAEMON
from tocsin.outbox import Outbox
from tocsin.outbox_format import BLOCK, FIRST, FORMAT, HEAD_BYTES
from tocsind.spool import outboxes
from tocsind.spool.folder import Folder
from tocsind.spool.outboxes import NoOutbox

SIZES = st.one_of(st.integers(0, 300), st.integers(3900, 4200), st.integers(8000, 40_000))
CUTS = 60  # power cuts for each recorded run, at random; `--hypothesis-seed` repeats them


def body(number: int, size: int) -> bytes:
    return json.dumps([{"title": f"{number}", "body": "x" * size}]).encode()


class Reader:
    """The daemon's side: a restart keeps `committed` and `sequences`, and loses `known`."""

    def __init__(self, spool: Path) -> None:
        self.folder = Folder(spool)
        self.committed: dict[str, list[int]] = {}
        self.sequences: dict[tuple[bytes, int], int] = {}
        self.restart()

    def restart(self) -> None:
        self.known: dict[str, outboxes.Outbox] = {}

    def read(self) -> outboxes.Reading | None:
        """Read the outbox and commit new records. The caller confirms."""
        names, _ = self.folder.names(0.0)
        scanned = self.folder.scan(names, self.known, self.sequences)
        for reading in scanned.readings:
            outbox = reading.after
            got = self.committed.setdefault(outbox.id.hex(), [])
            got += [int(signal["title"]) for record in reading.records for signal in json.loads(record.body)]
            self.sequences[outbox.id, outbox.uid] = outbox.sequence
            self.known[outbox.name] = outbox
        return scanned.readings[0] if scanned.readings else None

    def read_all(self) -> outboxes.Reading | None:
        reading = self.read()
        while reading is not None and reading.more:
            reading = self.read()
        return reading


class Interleaving(RuleBasedStateMachine):
    """Append, read, commit, confirm or not, restart either side: every record once, in order."""

    @initialize()
    def start(self) -> None:
        self.spool = Path(tempfile.mkdtemp(prefix="toc-"))
        self.outbox = Outbox(str(self.spool))
        self.reader = Reader(self.spool)
        self.reader.folder.prepare()
        self.count = 0
        self.unconfirmed: outboxes.Reading | None = None

    @rule(size=SIZES, times=st.integers(1, 9))
    def append(self, size: int, times: int) -> None:
        for _ in range(times):
            assert self.outbox.append(body(self.count, size), 1.0, synced=False) is None
            self.count += 1

    @rule()
    def take_in(self) -> None:
        self.unconfirmed = self.reader.read() or self.unconfirmed

    @precondition(lambda self: self.unconfirmed is not None)
    @rule()
    def confirm(self) -> None:
        assert self.unconfirmed is not None
        self.reader.folder.confirm([self.unconfirmed])
        self.unconfirmed = None

    @rule()
    def kill_reader(self) -> None:
        self.reader.restart()
        self.unconfirmed = None

    @rule(at=st.integers(0, 139))
    def torn_record(self, at: int) -> None:
        """The start of the next record, as a writer leaves it when it is killed in between."""
        box = self.outbox
        torn = outbox_format.pack(box._seed, box._written + 1, body(self.count, 9000))[: at * 64 + 1]
        if box._tail + 4 <= box._limit:  # at its place
            os.pwrite(box._file, torn, box._tail * BLOCK)

    @invariant()
    def taken_once_and_in_order(self) -> None:
        got = self.reader.committed.get(self.outbox.id.hex(), [])
        assert got == list(range(len(got)))

    def teardown(self) -> None:
        self.outbox.close()
        reading = self.reader.read_all()
        assert reading is not None
        assert (reading.is_over, reading.damage) == (True, None)
        assert self.reader.committed.get(self.outbox.id.hex(), []) == list(range(self.count))
        self.reader.folder.confirm([reading])
        assert [file for file in self.spool.iterdir() if file.name != DAEMON] == []
        self.reader.folder.close()
        shutil.rmtree(self.spool)


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_reader_beside_a_busy_writer_reads_every_record_in_order(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.folder.prepare()
    box, count, done = Outbox(str(tmp_path)), 4000, threading.Event()

    def write() -> None:
        chance = random.Random(3)
        for number in range(count):
            box.append(body(number, chance.choice((10, 10, 3900, 9000, 60_000))), 1.0, synced=False)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set() or len(reader.committed.get(box.id.hex(), [])) < count:
        reading = reader.read()
        if reading is not None and reading.records:
            assert reading.damage is None
            reader.folder.confirm([reading])
    thread.join()
    assert reader.committed[box.id.hex()] == list(range(count))


@given(st.integers(0, 6 * BLOCK), st.binary(min_size=1, max_size=64))
@settings(max_examples=60)
def test_damage_at_any_byte_costs_only_the_record_that_it_hits(place: int, noise: bytes) -> None:
    spool = Path(tempfile.mkdtemp(prefix="toc-"))
    try:
        box = Outbox(str(spool))
        for number in range(6):
            box.append(body(number, 10), 1.0, synced=False)
        at = FIRST * BLOCK + place
        before = os.pread(box._file, len(noise), at)
        os.pwrite(box._file, noise, at)
        hit = set() if before == noise else {place // BLOCK, (place + len(noise) - 1) // BLOCK}
        box.close()
        reader = Reader(spool)
        reading = reader.read_all()
        assert reading is not None
        got = [number for numbers in reader.committed.values() for number in numbers]
        assert got == sorted(set(got))
        assert set(range(6)) - set(got) <= hit
        later = [number for number in got if number > min(set(range(6)) - set(got), default=6)]
        assert bool(reading.damage) == bool(later)
    finally:
        shutil.rmtree(spool)


def test_search_reads_no_block_of_text_as_a_record(tmp_path: Path) -> None:
    box = Outbox(str(tmp_path))
    for number in range(2):
        box.append(body(number, 100 * BLOCK), 1.0, synced=False)
    assert [sequence for sequence, _ in outboxes._later(box._file, 0)] == [1, 2]


def test_file_that_replaces_an_outbox_is_read_as_a_new_outbox(tmp_path: Path) -> None:
    box, other = Outbox(str(tmp_path)), Outbox(str(tmp_path))
    box.append(body(0, 1), 1.0, synced=False)
    other.append(body(1, 1), 1.0, synced=False)
    reader = Reader(tmp_path)
    reader.read()
    names = {path.read_bytes()[len(FORMAT) : HEAD_BYTES]: path for path in tmp_path.glob("*.outbox")}
    names[other.id].rename(names[box.id])
    other.append(body(2, 1), 1.0, synced=False)
    reader.read_all()
    taken = sorted(number for numbers in reader.committed.values() for number in numbers)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "it is empty"),
        (b"tocsin outbox 2\n" + bytes(BLOCK), "another version"),
        (b"something else" + bytes(BLOCK), "no outbox"),
    ],
)
def test_file_that_is_no_outbox_is_refused(tmp_path: Path, head: bytes, message: str) -> None:
    (tmp_path / "a.outbox").write_bytes(head)
    with Folder(tmp_path)._opened() as place, pytest.raises(NoOutbox, match=message):
        outboxes.read(place, "a.outbox", None, {})


def test_links_and_huge_outboxes_are_refused(tmp_path: Path) -> None:
    Outbox(str(tmp_path)).close()
    [name], _ = Folder(tmp_path).names(0.0)
    os.link(tmp_path / name, tmp_path / "b.outbox")
    (tmp_path / "c.outbox").symlink_to(tmp_path / name)
    with (tmp_path / "d.outbox").open("wb") as sparse:
        sparse.truncate(2**40)
    with Folder(tmp_path)._opened() as place:
        for other, message in ((name, "hard link"), ("c.outbox", "cannot be opened"), ("d.outbox", "at most")):
            with pytest.raises(NoOutbox, match=message):
                outboxes.read(place, other, None, {})


# --- power cuts: everything that both sides write is recorded, and replayed up to every cut ----------------------------------


class Write(NamedTuple):
    """Bytes into the page cache; they may reach the disk at any time, block by block, or never."""

    at: int
    content: bytes


class Sync(NamedTuple):
    """Everything written before is on the disk."""


class Promised(NamedTuple):
    """The caller has the receipt of this signal."""

    number: int


class Committed(NamedTuple):
    """The journal has everything up to this sequence number, synced."""

    sequence: int
    numbers: tuple[int, ...]


Event = Write | Sync | Promised | Committed


class Recorded(NamedTuple):
    """One run, and the name of its outbox."""

    events: list[Event]
    name: str


def record(spool: Path, monkeypatch: pytest.MonkeyPatch, *, syncs: bool = True, confirms_late: bool = True) -> Recorded:
    """Appends with receipts, and a daemon that imports and confirms at random; without `syncs` or `confirms_late` signals get lost."""
    events: list[Event] = []
    write, sync = os.pwrite, os.fdatasync

    def pwrite(file: int, content: bytes, at: int) -> int:
        if (content and os.fstat(file).st_size != 0) or at:
            events.append(Write(at, bytes(content)))
        return write(file, content, at)

    def fdatasync(file: int) -> None:
        if syncs:
            events.append(Sync())
        sync(file)

    folder = Folder(spool)
    folder.prepare()
    box = Outbox(str(spool))
    [name], _ = folder.names(0.0)
    head = os.pread(box._file, 2 * BLOCK, 0)
    events += [Write(0, head), Sync()]
    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    known: dict[str, outboxes.Outbox] = {}
    sequences: dict[tuple[bytes, int], int] = {}
    chance = random.Random(7)
    for number in range(120):
        assert box.append(body(number, chance.choice((10, 10, 5000))), 1.0, synced=True) is None
        events.append(Promised(number))
        if chance.random() < 0.3:
            scanned = folder.scan([name], known, sequences)
            [reading] = scanned.readings
            numbers = tuple(int(json.loads(each.body)[0]["title"]) for each in reading.records)
            commit = Committed(reading.after.sequence, numbers)
            if confirms_late:
                events.append(commit)
            folder.confirm([reading])
            for _ in range(0 if confirms_late else 5):  # the owner reuses the confirmed blocks
                number_of_noise = 1000 + len(events)
                box.append(body(number_of_noise, 10), 1.0, synced=True)
            if not confirms_late:
                events.append(commit)
            known[name] = reading.after
            sequences[reading.after.id, reading.after.uid] = reading.after.sequence
    monkeypatch.undo()
    box.close()
    folder.close()
    return Recorded(events, name)


def disk_after(events: list[Event], chance: random.Random) -> tuple[bytes, set[int], int, set[int]]:
    """The result of a power cut after these events: the file, the numbers with a receipt, the committed sequence and numbers."""
    image: dict[int, bytes] = {}
    unsynced: list[tuple[int, bytes]] = []
    promised, committed, sequence = set[int](), set[int](), 0
    for event in events:
        match event:
            case Write(at, content):
                for start in range(0, len(content), BLOCK):
                    piece = content[start : start + BLOCK]
                    if at % BLOCK or len(piece) < BLOCK:  # the confirmation: a few bytes of a block
                        piece = piece.ljust(BLOCK, b"\0")
                    unsynced.append(((at + start) // BLOCK, piece))
            case Sync():
                image.update(unsynced)
                unsynced.clear()
            case Promised(number):
                promised.add(number)
            case Committed(upto, numbers):
                sequence = upto
                committed.update(numbers)
    for block, piece in unsynced:
        if chance.random() < 0.5:
            cut = chance.choice((512, 1024, 2048, BLOCK))  # a block may be torn between sectors
            image[block] = piece[:cut] + image.get(block, bytes(BLOCK))[cut:]
    size = max(image, default=0) + 1
    return b"".join(image.get(block, bytes(BLOCK)) for block in range(size)), promised, sequence, committed


def lost_at_cuts(run: Recorded, folder: Path, chance: random.Random) -> set[int]:
    """Signals with a receipt that a power cut loses."""
    lost: set[int] = set()
    for cut in sorted(chance.sample(range(2, len(run.events)), CUTS)):
        content, promised, sequence, committed = disk_after(run.events[:cut], chance)
        place = folder / f"{cut}"
        place.mkdir()
        (place / run.name).write_bytes(content)
        id_ = content[len(outbox_format.FORMAT) : outbox_format.HEAD_BYTES]
        reader = Reader(place)
        reader.sequences[id_, os.geteuid()] = sequence
        reader.read_all()
        found = {number for numbers in reader.committed.values() for number in numbers}
        lost |= promised - committed - found
        shutil.rmtree(place)
    return lost


def _recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **removed: Any) -> Recorded:
    (tmp_path / "spool").mkdir(mode=0o700)
    return record(tmp_path / "spool", monkeypatch, **removed)


def test_signals_with_a_receipt_survive_power_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_chance: random.Random
) -> None:
    assert lost_at_cuts(_recorded(tmp_path, monkeypatch), tmp_path, kill_chance) == set()


@pytest.mark.parametrize("removed", [{"syncs": False}, {"confirms_late": False}])
def test_power_cut_test_detects_a_missing_sync_and_an_early_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_chance: random.Random, removed: dict[str, bool]
) -> None:
    assert lost_at_cuts(_recorded(tmp_path, monkeypatch, **removed), tmp_path, kill_chance) != set()
