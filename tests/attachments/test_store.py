"""The store of files: retention and capacity."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from tests.outboxes import delete_when_listed

from tocsin.ids import id_of
from tocsin.signals import Signal
from tocsind.attachments import Attachments, Store, manager, store
from tocsind.attachments.incoming import UNCLAIMED_SECONDS
from tocsind.policy.delivery import State

ME = os.geteuid()
PLENTY = 2**30


def ids(count: int) -> list[str]:
    return [id_of(1_700_000_000_000 + n, b"0123456789") for n in range(count)]


def test_store_keeps_the_first_file_of_an_id(tmp_path: Path) -> None:
    (id_,) = ids(1)
    kept = Store(tmp_path)
    kept.save(id_, b"first")
    kept.save(id_, b"second")
    assert (kept.read(id_), kept.size(id_), kept.files, kept.total_bytes) == (b"first", 5, 1, 5)
    modes = [path.stat().st_mode & 0o777 for path in (kept.path, kept.path / id_)]
    assert modes == [0o700, 0o600]


def test_store_returns_none_and_size_zero_for_a_missing_file(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    assert (kept.read("X"), kept.size("X"), kept.listing()) == (None, 0, [])


def test_store_refuses_files_over_its_capacity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 10)
    kept, (first, second) = Store(tmp_path), ids(2)
    kept.save(first, b"12345678")
    with pytest.raises(OSError, match="wait already"):
        kept.save(second, b"123")
    kept.delete(kept.listing())
    kept.save(second, b"123")
    assert kept.total_bytes == 3


def test_store_counts_its_files_after_a_restart(tmp_path: Path) -> None:
    for id_ in ids(3):
        Store(tmp_path).save(id_, b"1234")
    again = Store(tmp_path)
    assert [each.id for each in again.listing()] == ids(3)
    assert (again.files, again.total_bytes) == (3, 12)


async def remaining(tmp_path: Path, states: Mapping[str, Collection[State]], *, now: float | None = None) -> list[str]:
    """The files that remain when the deliveries have these states."""
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
        ({State.DEAD}, True),  # `retry` may requeue it
        ({State.UNKNOWN, State.SENT}, True),
        ({State.SENT}, False),
        ({State.EXPIRED}, False),
        ({State.DROPPED}, False),
        ({State.REROUTED, State.SENT}, False),
        ({State.DIGESTED}, False),
    ],
)
async def test_stored_file_stays_while_a_delivery_may_need_it(tmp_path: Path, states: set[State], stays: bool) -> None:
    (id_,) = ids(1)
    Store(tmp_path).save(id_, b"png")
    assert await remaining(tmp_path, {id_: states}) == ([id_] if stays else [])


def test_file_that_vanishes_while_the_store_is_counted_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = ids(2)
    kept = Store(tmp_path)
    kept.save(stays, b"stays")
    kept.save(goes, b"goes")
    delete_when_listed(kept.path / goes, monkeypatch)
    assert [each.id for each in kept.listing()] == [stays]
    assert (kept.files, kept.total_bytes) == (1, 5)


async def test_stored_file_without_a_signal_is_deleted_after_an_hour(tmp_path: Path) -> None:
    (id_,) = ids(1)
    Store(tmp_path).save(id_, b"png")
    assert await remaining(tmp_path, {}, now=UNCLAIMED_SECONDS) == [id_]
    assert await remaining(tmp_path, {}, now=UNCLAIMED_SECONDS + 1) == []


async def test_oldest_files_of_dead_signals_are_deleted_over_half_the_capacity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "MAX_BYTES", 20)
    dead, waits, later, last = ids(4)
    for id_ in (dead, waits, later, last):
        Store(tmp_path).save(id_, b"1234")
    states = {dead: {State.DEAD}, waits: {State.QUEUED, State.DEAD}, later: {State.UNKNOWN}, last: {State.DEAD}}
    assert await remaining(tmp_path, states) == [waits, last]


async def test_signal_loses_its_file_when_the_disk_is_at_its_reserve(tmp_path: Path) -> None:
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
    assert taken[2].attach_note == "2.png is not attached: the disk is at its reserve"
    await attachments.on_accepted(signals, taken)
    assert [path.name for path in (spool / "attachments").iterdir()] == ["2.png"]  # not taken over, so not deleted


async def test_adopted_file_is_shown_without_its_id_prefix(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    (spool / "attachments").mkdir(parents=True)
    spool.chmod(0o700)
    (spool / "attachments").chmod(0o700)
    (id_,) = ids(1)
    signal = Signal("BUY", attach=f"{id_}-chart.png", id=id_)
    (spool / "attachments" / f"{id_}-chart.png").write_bytes(b"png")
    (taken,) = await Attachments(tmp_path, spool).adopt([signal], ME, PLENTY)
    assert taken.attach == "chart.png"
