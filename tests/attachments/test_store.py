"""Files are kept as long as somebody may want them, and no longer; and never more than there is room for."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest

from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.attachments import Attachments, Store, manager, store
from tocsind.attachments.incoming import UNCLAIMED_SECONDS
from tocsind.policy.delivery import State

ME = os.geteuid()
PLENTY = 2**30


def ids(count: int) -> list[str]:
    return [id_of(1_700_000_000_000 + n, b"0123456789") for n in range(count)]


def test_a_file_is_kept_and_read_and_the_first_under_an_id_stays(tmp_path: Path) -> None:
    (id_,) = ids(1)
    kept = Store(tmp_path)
    kept.save(id_, b"first")
    kept.save(id_, b"second")
    assert (kept.read(id_), kept.size(id_), kept.files, kept.total_bytes) == (b"first", 5, 1, 5)
    modes = [path.stat().st_mode & 0o777 for path in (kept.path, kept.path / id_)]
    assert modes == [0o700, 0o600]


def test_what_is_gone_is_nothing_and_weighs_nothing(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    assert (kept.read("X"), kept.size("X"), kept.listing()) == (None, 0, [])


def test_there_is_never_more_than_the_store_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 10)
    kept, (first, second) = Store(tmp_path), ids(2)
    kept.save(first, b"12345678")
    with pytest.raises(OSError, match="wait already"):
        kept.save(second, b"123")
    kept.delete(kept.listing())
    kept.save(second, b"123")
    assert kept.total_bytes == 3


def test_after_a_restart_the_files_are_counted_again(tmp_path: Path) -> None:
    for id_ in ids(3):
        Store(tmp_path).save(id_, b"1234")
    again = Store(tmp_path)
    assert [each.id for each in again.listing()] == ids(3)
    assert (again.files, again.total_bytes) == (3, 12)


async def tidied(tmp_path: Path, states: Mapping[str, Collection[State]], *, now: float | None = None) -> list[str]:
    """Which files are left when the journal says this of their signals."""
    attachments = Attachments(tmp_path, tmp_path / "spool")

    async def ask(_: Sequence[str]) -> Mapping[str, Collection[State]]:
        return states

    since = [each.since for each in attachments.store.listing()]
    await attachments.delete_unneeded(ask, min(since) if now is None else min(since) + now)
    return [each.id for each in attachments.store.listing()]


@pytest.mark.parametrize(
    ("states", "stays"),
    [
        ({State.QUEUED}, True),
        ({State.SENDING}, True),
        ({State.SENT, State.QUEUED}, True),
        ({State.DEAD}, True),  # `retry` may put it back
        ({State.UNKNOWN, State.SENT}, True),
        ({State.SENT}, False),
        ({State.EXPIRED}, False),
        ({State.DROPPED}, False),
        ({State.REROUTED, State.SENT}, False),
        ({State.DIGESTED}, False),
    ],
)
async def test_a_file_stays_as_long_as_a_delivery_may_need_it(tmp_path: Path, states: set[State], stays: bool) -> None:
    (id_,) = ids(1)
    Store(tmp_path).save(id_, b"png")
    assert await tidied(tmp_path, {id_: states}) == ([id_] if stays else [])


async def test_a_file_whose_signal_never_came_goes_after_an_hour(tmp_path: Path) -> None:
    (id_,) = ids(1)
    Store(tmp_path).save(id_, b"png")
    assert await tidied(tmp_path, {}, now=UNCLAIMED_SECONDS) == [id_]
    assert await tidied(tmp_path, {}, now=UNCLAIMED_SECONDS + 1) == []


async def test_of_what_may_only_come_back_the_oldest_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "MAX_BYTES", 20)
    dead, waits, later, last = ids(4)
    for id_ in (dead, waits, later, last):
        Store(tmp_path).save(id_, b"1234")
    standing = {dead: {State.DEAD}, waits: {State.QUEUED, State.DEAD}, later: {State.UNKNOWN}, last: {State.DEAD}}
    assert await tidied(tmp_path, standing) == [waits, last]


async def test_a_signal_goes_without_what_the_disk_has_no_room_for(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    (spool / "attachments").mkdir(parents=True)
    spool.chmod(0o700)
    (spool / "attachments").chmod(0o700)
    signals = [Signal("BUY", attach=f"{n}.png") for n in range(3)]
    for n in range(3):
        (spool / "attachments" / f"{n}.png").write_bytes(b"1234")
    attachments = Attachments(tmp_path, spool)
    taken = await attachments.adopt(signals, ME, spare=9)
    assert [signal.attach for signal in taken] == ["0.png", "1.png", None]
    assert taken[2].attach_note == "2.png does not come along: the disk is at its reserve"
    await attachments.on_accepted(signals, taken)
    assert [path.name for path in (spool / "attachments").iterdir()] == ["2.png"]  # not ours to delete


async def test_a_reader_sees_the_files_own_name_and_not_its_number(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    (spool / "attachments").mkdir(parents=True)
    spool.chmod(0o700)
    (spool / "attachments").chmod(0o700)
    (id_,) = ids(1)
    signal = Signal("BUY", attach=f"{id_}-chart.png", id=id_)
    (spool / "attachments" / f"{id_}-chart.png").write_bytes(b"png")
    (taken,) = await Attachments(tmp_path, spool).adopt([signal], ME, PLENTY)
    assert taken.attach == "chart.png"
