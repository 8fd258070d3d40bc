"""The folder: who is trusted, what is read, what is put aside."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsind.spool import folder as room
from tocsind.spool.folder import Folder, SpoolUnusable
from tocsind.spool.old_files import MAX_FILE_BYTES

NOW = 2_000_000_000.0
STRANGER = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "spool"
    place.mkdir(mode=0o700)
    return place


def write(path: Path, name: str = "a.jsonl", **signal: object) -> Path:
    (path / name).write_text(json.dumps({"title": "a", **signal}) + "\n")
    return path / name


def faults(path: Path) -> list[str]:
    """Of all old files that wait."""
    folder = Folder(path)
    return [fault for letter in folder.read_old_files(folder.names(NOW)[1], NOW) for fault in letter.errors]


def test_old_files_are_read_oldest_first(path: Path) -> None:
    for n in range(5):
        os.utime(write(path, f"{9 - n}.jsonl", title=f"{n}"), (NOW + n, NOW + n))
    folder = Folder(path)
    letters = folder.read_old_files(folder.names(NOW)[1], NOW)
    assert [[signal.title for signal in letter.signals] for letter in letters] == [[f"{n}"] for n in range(5)]
    assert {(letter.uid, letter.gid) for letter in letters} == {(os.geteuid(), os.getegid())}
    folder.delete([letter.name for letter in letters])
    assert folder.names(NOW) == ([], [])


def test_a_missing_folder_is_made_private(tmp_path: Path) -> None:
    Folder(tmp_path / "state" / "spool").prepare()
    assert (tmp_path / "state" / "spool").stat().st_mode & 0o777 == 0o700


def _link(path: Path) -> None:
    write(path.parent, "elsewhere")
    (path / "a.jsonl").symlink_to(path.parent / "elsewhere")


def _hard_link(path: Path) -> None:
    os.link(write(path.parent, "elsewhere"), path / "a.jsonl")


def _pipe(path: Path) -> None:
    os.mkfifo(path / "a.jsonl")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path / "a.jsonl"))


def _large(path: Path) -> None:
    with (path / "a.jsonl").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_link, "opened as a file"),
        (_hard_link, "another name elsewhere"),
        (_pipe, "no regular file"),
        (_socket, "opened as a file"),
        (_large, "at most"),
    ],
)
def test_what_is_no_plain_file_of_its_own_is_not_read_but_put_aside(
    path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(path)
    [fault] = faults(path)
    assert said in fault
    assert Folder(path).quarantine("a.jsonl", fault) == "a.jsonl"
    assert Folder(path).names(NOW) == ([], [])
    assert Folder(path).stats(0) == room.SpoolStats(0, 1, fault)


def test_quarantine_keeps_evidence_whatever_the_names(path: Path) -> None:
    folder, long = Folder(path), "x" * 240 + ".jsonl"
    first = folder.quarantine(write(path).name, "one")
    second = folder.quarantine(write(path, title="b").name, "another")
    third = folder.quarantine(write(path, long).name, "long")
    assert len({first, second, third}) == 3
    assert max(len(name) for name in (first, second, third)) < 100
    assert folder.stats(0).quarantined == 3


def test_folders_and_other_files_of_members_are_ignored(path: Path) -> None:
    (path / "a.outbox").mkdir()
    (path / "b.jsonl").mkdir()
    write(path, "notes.txt")
    assert Folder(path).names(NOW) == ([], [])
    assert Folder(path).stats(0) == room.SpoolStats(0, 0, None)


def test_unreadable_file_is_looked_at_again_only_when_it_changed(path: Path) -> None:
    folder = Folder(path)
    (path / "a.outbox").touch()
    os.utime(path / "a.outbox", (NOW, NOW))
    assert folder.scan(["a.outbox"], {}, {}).bad == {"a.outbox": "it is empty"}
    assert folder.put_aside("a.outbox", "it is empty", NOW) is None
    assert folder.names(NOW) == ([], [])
    assert folder.scan(["a.outbox"], {}, {}).bad == {}
    (path / "a.outbox").write_text("no outbox")
    assert folder.names(NOW)[0] == ["a.outbox"]
    assert folder.scan(["a.outbox"], {}, {}).bad == {"a.outbox": "it is no outbox"}


def test_future_times_do_not_keep_half_made_files(path: Path) -> None:
    write(path, ".later")
    os.utime(path / ".later", (NOW + 1e8, NOW + 1e8))
    Folder(path).names(NOW)
    assert list(path.iterdir()) == []


@root_only
def test_a_strangers_file_in_a_private_folder_is_not_read(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    assert faults(path) == [f"it belongs to uid {STRANGER}, and the spool is not shared"]


@root_only
def test_in_a_shared_folder_a_file_speaks_for_its_owner(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    path.chmod(0o3777)
    [letter] = Folder(path).read_old_files(["a.jsonl"], NOW)
    assert (letter.uid, letter.gid, letter.errors) == (STRANGER, STRANGER, [])


def test_a_folder_open_to_others_without_the_sticky_bit_is_not_used(path: Path) -> None:
    path.chmod(0o770)
    with pytest.raises(SpoolUnusable, match="others may write"):
        Folder(path).names(NOW)


@root_only
def test_a_strangers_folder_is_not_used(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(SpoolUnusable, match=f"uid {STRANGER}"):
        Folder(path).names(NOW)


def test_a_link_to_a_folder_is_not_used(path: Path) -> None:
    (path.parent / "link").symlink_to(path)
    with pytest.raises(SpoolUnusable):
        Folder(path.parent / "link").prepare()


@root_only
def test_a_strangers_quarantine_is_not_used(path: Path) -> None:
    path.chmod(0o3777)
    (path / "quarantine").mkdir()
    os.chown(path / "quarantine", STRANGER, STRANGER)
    write(path)
    with pytest.raises(SpoolUnusable, match="belongs to another user"):
        Folder(path).quarantine("a.jsonl", "because")
    assert Folder(path).names(NOW)[1] == ["a.jsonl"]


def test_a_full_quarantine_takes_no_more_and_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_QUARANTINED", 1)
    write(path, "a.jsonl")
    write(path, "b.jsonl")
    Folder(path).quarantine("a.jsonl", "because")
    with pytest.raises(SpoolUnusable, match="delete them"):
        Folder(path).quarantine("b.jsonl", "because")
    assert Folder(path).names(NOW)[1] == ["b.jsonl"]


def test_what_is_being_written_is_left_alone_and_what_was_left_half_written_goes(path: Path) -> None:
    for name, age in ((".fresh", 60.0), (".old", 2 * room.UNFINISHED_SECONDS)):
        write(path, name)
        os.utime(path / name, (NOW - age, NOW - age))
    assert Folder(path).names(NOW) == ([], [])
    assert [file.name for file in path.iterdir()] == [".fresh"]


def test_so_much_is_read_at_once_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_AT_ONCE", 30)
    for name in "abc":
        write(path, name)
    assert [letter.name for letter in Folder(path).read_old_files(["a", "b", "c"], NOW)] == ["a", "b"]


def test_a_file_that_has_gone_says_nothing_and_may_be_deleted_again(path: Path) -> None:
    [letter] = Folder(path).read_old_files(["gone"], NOW)
    assert (letter.signals, letter.errors) == ([], [])
    Folder(path).delete(["gone"])
