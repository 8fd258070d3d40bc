"""A journal that is damaged in any place opens and is intact, and the damaged files are kept."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.journal.factories import NOW, put, states_of

from tocsind.host import damaged_files
from tocsind.journal import maintenance
from tocsind.journal.commit_mark import CommitCounter, Mark, read
from tocsind.journal.opening import FILE_NAME, open_journal
from tocsind.journal.recovery import Recovered, Replaced, open_intact
from tocsind.journal.row_recovery import RECOVERED

SIGNALS = 40
WAL = f"{FILE_NAME}-wal"


def commit(connection: sqlite3.Connection, commits: CommitCounter, *to: str) -> str:
    """One signal, in a numbered commit."""
    connection.execute("BEGIN IMMEDIATE")
    commits.begin(connection)
    id_ = put(connection, *to, body="x" * 300)
    commits.count(connection)
    connection.execute("COMMIT")
    commits.committed()
    return id_


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a killed journal: half of its signals in the database, half in the log."""
    folder, kept = tmp_path_factory.mktemp("journal"), tmp_path_factory.mktemp("killed")
    for number in range(2):
        with closing(open_intact(folder, NOW).connection) as connection:
            commits = CommitCounter(connection, folder)
            for _ in range(SIGNALS // 2):
                commit(connection, commits, "a")
            if number:
                shutil.copytree(folder, kept, dirs_exist_ok=True)
            commits.close()
    return kept


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "state")


def waiting(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'queued'").fetchone()
    return int(found)


def test_killed_journal_is_intact(folder: Path) -> None:
    opened = open_intact(folder, NOW)
    with closing(opened.connection):
        assert opened.finding is None
        assert waiting(opened.connection) == SIGNALS
    assert damaged_files.folders(folder) == []


@given(data=st.data())
def test_journal_with_damage_anywhere_opens(killed: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(killed, Path(name) / "state")
        path = folder / data.draw(st.sampled_from([FILE_NAME, WAL]))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "scribble", "delete"])):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[at:]
            case "scribble":
                length = min(data.draw(st.integers(1, 4096)), len(content) - at)
                content[at : at + length] = data.draw(st.binary(min_size=length, max_size=length))
            case _:
                content = bytearray()
                path.unlink()
        if path.exists():
            path.write_bytes(content)
        opened = open_intact(folder, NOW)
        with closing(opened.connection) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            commits = CommitCounter(connection, folder)
            commit(connection, commits, "b")
            commits.close()
            if opened.finding is None:
                assert waiting(connection) == SIGNALS + 1
        again = open_intact(folder, NOW)
        again.connection.close()
        assert again.finding is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_flipped_bit_in_the_log_costs_its_page_only(folder: Path, share: float) -> None:
    log = folder / WAL
    content = bytearray(log.read_bytes())
    content[int(len(content) * share)] ^= 4
    log.write_bytes(content)
    opened = open_intact(folder, NOW)
    with closing(opened.connection):
        assert isinstance(opened.finding, Recovered)
        assert "commits of the journal are missing" in opened.finding.reason
        assert waiting(opened.connection) >= SIGNALS - 10
        doubts = opened.connection.execute("SELECT DISTINCT doubt FROM deliveries WHERE state = 'queued'").fetchall()
        assert doubts == [(1,)]
    assert (opened.finding.folder / WAL).read_bytes() == content


def test_broken_list_of_tables_costs_no_signal(folder: Path) -> None:
    open_intact(folder, NOW).connection.close()
    path = folder / FILE_NAME
    content = bytearray(path.read_bytes())
    content[:2048] = b"\xa5" * 2048
    path.write_bytes(content)
    opened = open_intact(folder, NOW)
    with closing(opened.connection):
        assert isinstance(opened.finding, Recovered)
        assert waiting(opened.connection) == SIGNALS
    assert (opened.finding.folder / FILE_NAME).read_bytes() == content


def test_index_that_lacks_a_row_is_noticed(folder: Path) -> None:
    with closing(open_intact(folder, NOW).connection) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'waiting'")
        connection.execute("PRAGMA writable_schema = OFF")
    opened = open_intact(folder, NOW)
    with closing(opened.connection):
        assert isinstance(opened.finding, Recovered)
        assert waiting(opened.connection) == SIGNALS


def test_young_signal_without_deliveries_is_delivered_again(tmp_path: Path) -> None:
    with closing(open_intact(tmp_path, NOW).connection) as connection:
        young, old = put(connection, "a", key="k"), put(connection, "a", accepted=NOW - 2 * 86_400)
        connection.execute("DROP TABLE deliveries")
    opened = open_intact(tmp_path, NOW)
    with closing(opened.connection) as connection:
        assert isinstance(opened.finding, Recovered)
        assert opened.finding.kept.owed_again == 1
        assert states_of(connection, young) == {RECOVERED: "queued"}
        assert states_of(connection, old) == {}
        assert maintenance.orphans(connection, RECOVERED, shares=True) != []


def test_killed_recovery_continues(folder: Path) -> None:
    (folder / WAL).unlink()
    with closing(open_intact(folder, NOW).connection) as connection:
        kept = waiting(connection)
    (folder / FILE_NAME).rename(folder / "journal.fresh")  # as if only the old files had been moved aside
    opened = open_intact(folder, NOW)
    with closing(opened.connection):
        assert waiting(opened.connection) == kept


def test_another_journal_in_its_place_is_used_with_marked_deliveries(folder: Path, tmp_path: Path) -> None:
    with closing(open_intact(tmp_path, NOW).connection) as connection:
        put(connection, "a")
    for path in folder.glob("journal.*"):
        path.unlink()
    shutil.copyfile(tmp_path / FILE_NAME, folder / FILE_NAME)
    opened = open_intact(folder, NOW)
    opened.connection.close()
    assert opened.finding == Replaced("another journal took its place", 1)


def test_unreadable_mark_proves_nothing(folder: Path) -> None:
    (folder / "mark").write_text("tocsin mark 1 nonsense")
    assert read(folder) is None
    (folder / WAL).unlink()
    opened = open_intact(folder, NOW)
    opened.connection.close()
    assert opened.finding is None


def test_mark_counts_each_commit_that_changes_something(tmp_path: Path) -> None:
    with closing(open_journal(tmp_path)) as connection:
        commits = CommitCounter(connection, tmp_path)
        commit(connection, commits, "a")
        known = read(tmp_path)
        assert isinstance(known, Mark)
        assert (known.commits, known.is_suspect) == (1, False)
        commits.begin(connection)
        connection.execute("SELECT 1").fetchall()
        assert not commits.count(connection)
        commits.suspect()
        assert read(tmp_path) == known._replace(is_suspect=True)
        commits.close()


def test_folders_of_damaged_files_are_bounded_and_never_overwritten(tmp_path: Path) -> None:
    made = []
    for number in range(damaged_files.MAX_FOLDERS + 2):
        (tmp_path / "file").write_text(str(number))
        made.append(damaged_files.quarantine_files(tmp_path, [tmp_path / "file"], f"reason {number}"))
    left = damaged_files.folders(tmp_path)
    assert len(left) == damaged_files.MAX_FOLDERS
    assert (made[-1] / "file").read_text() == str(damaged_files.MAX_FOLDERS + 1)
    assert made[-1] in left
    now = made[-1].stat().st_mtime
    assert len(damaged_files.recent(tmp_path, now)) == damaged_files.MAX_FOLDERS
    assert damaged_files.recent(tmp_path, now + damaged_files.SHOWN_SECONDS + 1) == []


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a journal that was killed before its first checkpoint: the log holds its tables, too."""
    folder, kept = tmp_path_factory.mktemp("journal"), tmp_path_factory.mktemp("young")
    with closing(open_intact(folder, NOW).connection) as connection:
        commits = CommitCounter(connection, folder)
        for _ in range(SIGNALS):
            commit(connection, commits, "a")
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        commits.close()
    return kept


def commit_frames(log: bytes) -> list[int]:
    """Offsets of the frames that end a commit (sqlite.org/fileformat2.html)."""
    return [at for at in frames(log) if int.from_bytes(log[at + 4 : at + 8], "big")]


def frames(log: bytes) -> range:
    """Offsets of the frames."""
    length = 24 + int.from_bytes(log[8:12], "big")
    return range(32, len(log) - length + 1, length)


def new_pages(log: bytes, end: int) -> list[int]:
    """The last frame of each page that the database of this size (bytes) does not have."""
    size = int.from_bytes(log[8:12], "big")
    pages = {int.from_bytes(log[at : at + 4], "big"): at for at in frames(log)}
    return [at for page, at in pages.items() if page * size > end]


def test_flipped_bit_in_a_new_page_of_the_log_costs_no_older_signal(tmp_path: Path) -> None:
    first, killed = tmp_path / "first", tmp_path / "killed"
    first.mkdir()
    with closing(open_intact(first, NOW).connection) as connection:
        before = [
            put(connection, "a") for _ in range(8)
        ]  # on one page, which the next ones turn into one that leads to others
    with closing(open_intact(first, NOW).connection) as connection:
        commits = CommitCounter(connection, first)
        for _ in range(24):
            commit(connection, commits, "a")
        shutil.copytree(first, killed)
        commits.close()
    log, end = (killed / WAL).read_bytes(), (killed / FILE_NAME).stat().st_size
    for frame in new_pages(log, end):
        folder = shutil.copytree(killed, tmp_path / f"{frame}")
        damaged = bytearray(log)
        damaged[frame + 24 + 100] ^= 1
        (folder / WAL).write_bytes(damaged)
        with closing(open_intact(folder, NOW).connection) as connection:
            rows = connection.execute(
                "SELECT id FROM signals JOIN deliveries ON signal = signals.number WHERE state = 'queued'"
            )
            assert set(before) <= {id_ for (id_,) in rows}, frame
            assert (
                connection.execute("SELECT count(*) FROM deliveries GROUP BY signal HAVING count(*) > 1").fetchall()
                == []
            )
        shutil.rmtree(folder)


def test_flipped_bit_in_any_commit_of_a_young_journal_is_found_and_loses_no_signal(young: Path, tmp_path: Path) -> None:
    log = (young / WAL).read_bytes()
    for number, frame in enumerate(commit_frames(log)[:-1]):
        folder = shutil.copytree(young, tmp_path / f"{number}")
        damaged = bytearray(log)
        damaged[frame + 24 + 100] ^= 1
        (folder / WAL).write_bytes(damaged)
        opened = open_intact(folder, NOW)
        with closing(opened.connection):
            assert isinstance(opened.finding, Recovered), number
            assert waiting(opened.connection) >= SIGNALS - 1, number
        assert len(damaged_files.folders(folder)) == 1, number
