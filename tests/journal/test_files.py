from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.factories import put

from tocsind.errors import StorageLost
from tocsind.journal import Journal, queries
from tocsind.journal.files import RESERVE, Files, Reserve
from tocsind.journal.opening import FILE_NAME, open_journal


def test_reserve_occupies_its_space_until_it_is_released(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.hold()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= RESERVE
    assert file.stat().st_mode & 0o777 == 0o600
    assert reserve.release()
    assert reserve.is_used
    assert not reserve.release()
    assert reserve.hold()
    assert not reserve.is_used


def test_reserve_of_an_earlier_run_is_held(tmp_path: Path) -> None:
    Reserve(tmp_path).hold()
    assert Reserve(tmp_path).is_held


def test_reserve_that_cannot_be_created_is_not_held(tmp_path: Path) -> None:
    assert not Reserve(tmp_path / "nowhere").hold()


def test_released_space_belongs_to_the_files_of_the_journal(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        put(connection, "a")
        files = Files(tmp_path)
        before = {path.name: path.stat() for path in tmp_path.iterdir()}
        files.extend()
        for path in tmp_path.iterdir():
            assert path.stat().st_size == before[path.name].st_size
            assert path.stat().st_blocks * 512 >= RESERVE // 2
    files.close()


def test_check_reports_files_whose_names_lead_elsewhere(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        put(connection, "a")
        files = Files(tmp_path)
        assert files.check() is None
        path = tmp_path / FILE_NAME
        path.rename(tmp_path / "other")
        assert files.check() == f"{path} was deleted or moved away"
        path.touch()
        assert files.check() == f"{path} was replaced by another file"
    files.close()


async def test_journal_without_its_files_acknowledges_nothing(tmp_path: Path) -> None:
    async with Journal(tmp_path) as journal:
        await journal.run(queries.counts)
        (tmp_path / FILE_NAME).unlink()
        with pytest.raises(StorageLost, match="was deleted or moved away"):
            await journal.run(queries.counts)
        with pytest.raises(StorageLost):
            journal.check_files()
        assert not journal.healthy
