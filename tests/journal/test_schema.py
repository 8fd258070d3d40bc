from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.journal.factories import fed, put

from tocsind.errors import EXIT_CANNOT_WRITE, CannotWrite
from tocsind.journal import opening
from tocsind.journal.opening import FILE_NAME, open_journal
from tocsind.journal.schema import MIGRATIONS


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        number: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return number


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_fresh_file_runs_all_migrations(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        assert pragma(connection, "user_version") == len(MIGRATIONS)
        put(connection, "a")


def test_empty_file_is_a_fresh_one(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    open_journal(tmp_path).close()
    assert version(tmp_path) == len(MIGRATIONS)


def test_stored_signals_are_there_after_opening_again(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        id_ = put(connection, "a")
    with closing(open_journal(tmp_path)) as connection:
        assert [delivery.id for delivery in fed(connection, "a")] == [id_]


def test_later_version_migrates_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_journal(tmp_path)) as connection:
        id_ = put(connection, "a")
    monkeypatch.setattr(
        opening, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x) STRICT;".replace("(x)", "(x TEXT)"))
    )
    with closing(open_journal(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)
        assert [delivery.id for delivery in fed(connection, "a")] == [id_]
    assert version(tmp_path) == len(MIGRATIONS) + 1


def test_failing_migration_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_journal(tmp_path)) as connection:
        id_ = put(connection, "a")
    broken = "CREATE TABLE more (x TEXT); CREATE TABLE signals (x TEXT);"
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", (*MIGRATIONS, broken))
        with pytest.raises(CannotWrite, match="table signals already exists"):
            open_journal(tmp_path)
    with closing(open_journal(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)
        assert [delivery.id for delivery in fed(connection, "a")] == [id_]


def test_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(
        CannotWrite, match=rf"newer tocsind \(version 99\); this one knows {len(MIGRATIONS)}"
    ) as refused:
        open_journal(tmp_path)
    assert refused.value.exit_code == EXIT_CANNOT_WRITE
    assert version(tmp_path) == 99


def test_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"my diary\n" * 1000)
    with pytest.raises(CannotWrite, match="not a database"):
        open_journal(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == b"my diary\n" * 1000


def test_missing_folder_is_reported_in_words(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot be opened: unable to open database file"):
        open_journal(tmp_path / "nowhere")


def test_commits_are_synced_and_no_other_connection_can_open_the_file(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2  # FULL
        assert pragma(connection, "locking_mode") == "exclusive"
        assert pragma(connection, "auto_vacuum") == 2  # INCREMENTAL
        with (
            closing(sqlite3.connect(tmp_path / FILE_NAME, timeout=0)) as second,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            second.execute("SELECT count(*) FROM signals")


def test_file_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        put(connection, "a")
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
            FILE_NAME: "0o600",
            f"{FILE_NAME}-wal": "0o600",
        }
