"""inotify reports renames and a deleted folder. The tests use the real kernel, so they run on the real clock."""

from __future__ import annotations

from pathlib import Path

import trio

from tocsin.daemon_lock import DAEMON
from tocsind.spool.folder import Folder
from tocsind.spool.inotify import DirectoryWatch

PATIENCE = 10.0


async def test_watch_reports_a_file_renamed_into_the_folder(tmp_path: Path) -> None:
    with DirectoryWatch() as watch, trio.fail_after(PATIENCE):
        watch.watch(tmp_path)
        assert watch.works
        (tmp_path / ".a").touch()
        (tmp_path / ".a").rename(tmp_path / "a")
        await watch.changed()


async def test_watch_names_each_file_once_and_is_quiet_afterwards(tmp_path: Path) -> None:
    with DirectoryWatch() as watch:
        watch.watch(tmp_path)
        for _ in range(3):
            for name in "ab":
                (tmp_path / name).write_text("more")
        with trio.fail_after(PATIENCE):
            await watch.changed()
        assert watch.names() == {"a": None, "b": None}
        with trio.move_on_after(0.05) as waited:
            await watch.changed()
    assert waited.cancelled_caught


async def test_watch_requests_a_full_scan_when_the_daemons_file_is_deleted(tmp_path: Path) -> None:
    with DirectoryWatch() as watch:
        watch.watch(tmp_path)
        for name in ("a", DAEMON):
            (tmp_path / name).touch()
        watch.names()
        (tmp_path / "a").unlink()
        assert watch.names() == {}
        (tmp_path / DAEMON).unlink()
        assert watch.names() is None


async def test_watch_reports_a_deleted_folder_and_watches_its_successor(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    with DirectoryWatch() as watch, trio.fail_after(PATIENCE):
        watch.watch(folder)
        folder.rmdir()
        await watch.changed()
        assert watch.names() is None
        folder.mkdir()
        watch.watch(folder)
        (folder / ".a").touch()
        (folder / ".a").rename(folder / "a")
        await watch.changed()


async def test_watch_does_not_work_for_a_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    with DirectoryWatch() as watch:
        for name in ("nothing", "file", "link"):
            watch.watch(tmp_path / name)
            assert not watch.works


async def test_watch_reports_nothing_when_an_unchanged_reason_is_published(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with DirectoryWatch() as watch:
        folder.prepare()
        watch.watch(tmp_path)
        folder.publish_reason(None)
        assert watch.names() == {}
        for _ in range(2):
            folder.publish_reason("the disk is full")
        assert watch.names() == {DAEMON: None}
        folder.publish_reason("the disk is full")
        assert watch.names() == {}
    folder.close()
