"""The kernel tells of renames, and of a folder that goes away; it is the real one, so these run on the real clock."""

from __future__ import annotations

from pathlib import Path

import trio

from tocsind.spool.watch import Watch

PATIENCE = 10.0


async def test_a_file_that_was_renamed_into_the_folder_is_told(tmp_path: Path) -> None:
    with Watch() as watch, trio.fail_after(PATIENCE):
        watch.on(tmp_path)
        assert watch.works
        (tmp_path / ".a").touch()
        (tmp_path / ".a").rename(tmp_path / "a")
        await watch.changed()


async def test_one_that_is_still_being_written_is_nobodys_business(tmp_path: Path) -> None:
    with Watch() as watch:
        watch.on(tmp_path)
        (tmp_path / ".a").write_text("half")
        (tmp_path / "b").write_text("whole, but not renamed")
        (tmp_path / "b").unlink()
        with trio.move_on_after(0.05) as waited:
            await watch.changed()
    assert waited.cancelled_caught


async def test_what_happened_before_somebody_waits_is_told_once(tmp_path: Path) -> None:
    with Watch() as watch:
        watch.on(tmp_path)
        for name in "abc":
            (tmp_path / f".{name}").touch()
            (tmp_path / f".{name}").rename(tmp_path / name)
        with trio.fail_after(PATIENCE):
            await watch.changed()
        with trio.move_on_after(0.05) as waited:
            await watch.changed()
    assert waited.cancelled_caught


async def test_a_folder_that_goes_away_is_told_and_one_made_anew_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    with Watch() as watch, trio.fail_after(PATIENCE):
        watch.on(folder)
        folder.rmdir()
        await watch.changed()
        folder.mkdir()
        watch.on(folder)
        (folder / ".a").touch()
        (folder / ".a").rename(folder / "a")
        await watch.changed()


async def test_what_cannot_be_watched_is_known(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    with Watch() as watch:
        for name in ("nothing", "file", "link"):
            watch.on(tmp_path / name)
            assert not watch.works
