"""A file of JSON lines: whole lines, on disk, each once."""

# ruff: noqa: ASYNC240 - a few bytes of a test, and what is tested is what they are at this moment

from __future__ import annotations

import errno
import math
import os
import stat
from pathlib import Path

import msgspec
import pytest
from tests.destinations.signals import delivery
from tests.harness import STRANGER

from tocsind.config import DestinationOptions, FileOptions
from tocsind.destinations.file import FileDestination
from tocsind.destinations.http import HttpClient
from tocsind.destinations.registry import build, pace
from tocsind.policy.batch import Footprint
from tocsind.policy.outcomes import ChannelInfo, Deferred, Delivered, Refused, Report
from tocsind.policy.pace import Pace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts.jsonl"


def titles(path: Path) -> list[str]:
    return [msgspec.json.decode(line)["title"] for line in path.read_bytes().splitlines()]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Failing:
    """os.write or os.fsync, as a full or broken disk has them: `good` bytes go through first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, good: int = 0) -> None:
        self.good = good
        self.number = number
        self.true = getattr(os, name)
        monkeypatch.setattr(os, name, self)

    def __call__(self, descriptor: int, data: bytes = b"") -> int:
        if self.good > 0:
            written: int = self.true(descriptor, data[: self.good])
            self.good -= written
            return written
        raise OSError(self.number, os.strerror(self.number))


async def test_file_appends_a_batch_in_order(path: Path) -> None:
    destination = FileDestination(path)
    assert await destination.deliver([delivery("one"), delivery("two")]) == Report((Delivered(), Delivered()))
    assert await destination.deliver([delivery("three")]) == Report((Delivered(),))
    assert titles(path) == ["one", "two", "three"]


async def test_file_and_its_folders_are_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "alerts.jsonl"
    assert await FileDestination(path).deliver([delivery()]) == Report((Delivered(),))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


async def test_file_syncs_a_batch_once_and_a_new_file_with_its_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(stat.S_IFMT(os.fstat(descriptor).st_mode)))
    destination = FileDestination(path)
    await destination.deliver([delivery(), delivery()])
    assert synced == [stat.S_IFDIR, stat.S_IFREG]
    await destination.deliver([delivery(), delivery()])
    assert synced == [stat.S_IFDIR, stat.S_IFREG, stat.S_IFREG]


async def test_file_that_was_rotated_is_created_again(path: Path) -> None:
    destination = FileDestination(path)
    await destination.deliver([delivery("old")])
    rotated = path.rename(path.with_suffix(".1"))
    await destination.deliver([delivery("new")])
    assert (titles(rotated), titles(path)) == (["old"], ["new"])


async def test_file_ends_a_line_that_a_crash_cut(path: Path) -> None:
    path.write_bytes(b'{"title": "whole"}\n{"title": "cut sh')
    await FileDestination(path).deliver([delivery("next")])
    lines = path.read_bytes().splitlines()
    assert lines[1] == b'{"title": "cut sh'
    assert msgspec.json.decode(lines[2])["title"] == "next"


@pytest.mark.parametrize("good", [0, 1, 100])
async def test_file_removes_a_batch_that_fills_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    destination = FileDestination(path)
    await destination.deliver([delivery("before")])
    with monkeypatch.context() as patched:
        Failing(patched, "write", errno.ENOSPC, good=good)
        report = await destination.deliver([delivery("one"), delivery("two")])
    assert report == Report((Deferred("alerts.jsonl: No space left on device"),) * 2)
    assert titles(path) == ["before"]
    await destination.deliver([delivery("one"), delivery("two")])
    assert titles(path) == ["before", "one", "two"]


async def test_file_ends_a_cut_line_once_also_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"cut")
    with monkeypatch.context() as patched:
        Failing(patched, "write", errno.ENOSPC, good=5)
        await FileDestination(path).deliver([delivery()])
    assert path.read_bytes() == b"cut"


async def test_file_removes_a_batch_whose_sync_failed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    with monkeypatch.context() as patched:
        Failing(patched, "fsync", errno.EIO)
        report = await FileDestination(path).deliver([delivery()])
    assert report == Report((Deferred("alerts.jsonl: Input/output error"),))
    assert path.read_bytes() == b""


async def test_write_that_cannot_be_truncated_is_ambiguous(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    with monkeypatch.context() as patched:
        Failing(patched, "fsync", errno.EIO)
        Failing(patched, "ftruncate", errno.EIO)
        report = await FileDestination(path).deliver([delivery()])
    assert report == Report((Deferred("alerts.jsonl: Input/output error", ambiguous=True),))


async def test_lines_of_another_writer_are_never_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()

    def sync(_descriptor: int) -> None:
        with path.open("ab") as other:
            other.write(b"other\n")
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        report = await FileDestination(path).deliver([delivery()])
    assert report == Report((Deferred("alerts.jsonl: Input/output error", ambiguous=True),))
    assert path.read_bytes().endswith(b"other\n")


async def test_path_that_is_no_file_defers_with_its_name_only(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").touch()
    told = {"folder": "Is a directory", "pipe": "not a regular file", "plain/below": "Not a directory"}
    for name, why in told.items():
        report = await FileDestination(tmp_path / name).deliver([delivery()])
        assert report == Report((Deferred(f"{name.rpartition('/')[2]}: {why}"),))


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


async def reason(path: Path) -> str:
    """Why nothing is written there, which is asked for again later."""
    (outcome,) = (await FileDestination(path).deliver([delivery()])).outcomes
    assert isinstance(outcome, Deferred), outcome
    return outcome.reason


@AS_ROOT
async def test_file_of_another_user_is_not_appended_to(path: Path) -> None:
    path.write_text("his\n")
    os.chown(path, STRANGER, STRANGER)
    assert await reason(path) == f"alerts.jsonl: it belongs to uid {STRANGER}"
    assert path.read_text() == "his\n"


@AS_ROOT
async def test_link_of_another_user_leads_nowhere(tmp_path: Path) -> None:
    """Root's daemon would append a stranger's text to any file."""
    (tmp_path / "roots").write_text("#!/bin/sh\n")
    tmp_path.chmod(0o777)
    (tmp_path / "link").symlink_to("roots")
    (tmp_path / "here").symlink_to(".")
    for name in ("link", "here"):
        os.chown(tmp_path / name, STRANGER, STRANGER, follow_symlinks=False)
    assert "the link link belongs to" in await reason(tmp_path / "link")
    assert "the link here belongs to" in await reason(tmp_path / "here" / "roots")
    (tmp_path / "hard").hardlink_to(tmp_path / "roots")
    assert "hard link" in await reason(tmp_path / "hard")
    assert (tmp_path / "roots").read_text() == "#!/bin/sh\n"


@AS_ROOT
async def test_folder_of_another_user_gets_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "his").mkdir()
    os.chown(tmp_path / "his", STRANGER, STRANGER)
    assert "its folder belongs to" in await reason(tmp_path / "his" / "alerts.jsonl")
    assert list((tmp_path / "his").iterdir()) == []


async def test_own_link_is_followed(tmp_path: Path, path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "real.jsonl").touch()
    path.symlink_to("elsewhere/real.jsonl")
    assert await FileDestination(path).deliver([delivery("one")]) == Report((Delivered(),))
    assert titles(tmp_path / "elsewhere" / "real.jsonl") == ["one"]


async def test_file_leaves_no_descriptor_open(path: Path) -> None:
    before = open_descriptors()
    destination = FileDestination(path)
    for _ in range(3):
        await destination.deliver([delivery()])
    await destination.aclose()
    assert open_descriptors() == before


async def test_registry_builds_a_file_under_the_state_folder(tmp_path: Path) -> None:
    options = DestinationOptions(name="f", kind="file", options=FileOptions("alerts.jsonl"))
    async with HttpClient() as client:
        destination = build(options, client, tmp_path)
        assert (destination.max_items, destination.max_chars) == (64, math.inf)
        assert pace(options) == Pace()
        await destination.deliver([delivery("here")])
    assert titles(tmp_path / "alerts.jsonl") == ["here"]


async def test_any_lines_may_stand_together_and_no_request_is_made(path: Path) -> None:
    destination = FileDestination(path)
    urgent = msgspec.structs.replace(delivery("x" * 5000, priority="urgent"), max_batch=3)
    assert (destination.footprint(delivery()), destination.footprint(urgent)) == (Footprint(), Footprint(max_batch=3))
    assert await destination.discover() == ChannelInfo()


async def test_file_preview_shows_the_lines_and_writes_none(path: Path) -> None:
    preview = FileDestination(path).preview([delivery("one"), delivery("two")])
    assert [line["title"] for line in preview["payload"]["lines"]] == ["one", "two"]
    assert preview["limits"] == preview["notes"] == []
    assert not path.exists()


@pytest.mark.parametrize("way", ["straight", "link"])
async def test_another_way_to_our_own_files_disables_it_before_its_first_alert(tmp_path: Path, way: str) -> None:
    (tmp_path / "link").symlink_to("journal.db")
    path = tmp_path / {"straight": "journal.db-shm", "link": "link"}[way]
    place = await FileDestination(path, tmp_path).discover()
    assert isinstance(place.problem, Refused)
    assert place.problem.disable
    assert "is tocsin's own journal.db" in place.problem.reason
    assert await FileDestination(tmp_path / "alerts.jsonl", tmp_path).discover() == ChannelInfo()
