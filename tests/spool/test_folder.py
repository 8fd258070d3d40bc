"""The folder: who is trusted, what is read, what is put aside."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin import Signal
from tocsin.spool import keep
from tocsind.spool import folder as room
from tocsind.spool.folder import Folder, Unfit

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
    """Of all files that wait."""
    folder = Folder(path)
    return [fault for letter in folder.read(folder.names(NOW), NOW) for fault in letter.faults]


def test_what_a_client_keeps_is_read_oldest_first(path: Path) -> None:
    signals = [Signal(f"{n}") for n in range(5)]
    for signal in signals:
        keep(str(path), [signal])
    keep(str(path), signals)
    folder = Folder(path)
    letters = folder.read(folder.names(NOW), NOW)
    assert [[signal.id for signal in letter.signals] for letter in letters] == [
        *([signal.id] for signal in signals),
        [signal.id for signal in signals],
    ]
    assert {(letter.uid, letter.gid) for letter in letters} == {(os.geteuid(), os.getegid())}
    folder.delete([letter.name for letter in letters])
    assert folder.names(NOW) == []


def test_a_missing_folder_is_made_private(tmp_path: Path) -> None:
    Folder(tmp_path / "state" / "spool").prepare()
    assert (tmp_path / "state" / "spool").stat().st_mode & 0o777 == 0o700


def _link(path: Path) -> None:
    write(path.parent, "elsewhere")
    (path / "a").symlink_to(path.parent / "elsewhere")


def _hard_link(path: Path) -> None:
    os.link(write(path.parent, "elsewhere"), path / "a")


def _pipe(path: Path) -> None:
    os.mkfifo(path / "a")


def _folder(path: Path) -> None:
    (path / "a").mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path / "a"))


def _large(path: Path) -> None:
    with (path / "a").open("wb") as file:
        file.truncate(room.MOST_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_link, "a link"),
        (_hard_link, "another name elsewhere"),
        (_pipe, "no regular file"),
        (_folder, "no regular file"),
        (_socket, "cannot be read"),
        (_large, "at most"),
    ],
)
def test_what_is_no_plain_file_of_its_own_is_not_read_but_put_aside(
    path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(path)
    [fault] = faults(path)
    assert said in fault
    Folder(path).quarantine("a", fault)
    assert Folder(path).names(NOW) == []
    assert Folder(path).census() == room.Census(0, 1, fault)


@root_only
def test_a_strangers_file_in_a_private_folder_is_not_read(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    assert faults(path) == [f"it belongs to uid {STRANGER}, and the spool is not shared"]


@root_only
def test_in_a_shared_folder_a_file_speaks_for_its_owner(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    path.chmod(0o3770)
    [letter] = Folder(path).read(["a.jsonl"], NOW)
    assert (letter.uid, letter.gid, letter.faults) == (STRANGER, STRANGER, [])


def test_a_folder_open_to_others_without_the_sticky_bit_is_not_used(path: Path) -> None:
    path.chmod(0o770)
    with pytest.raises(Unfit, match="others may write"):
        Folder(path).names(NOW)


@root_only
def test_a_strangers_folder_is_not_used(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(Unfit, match=f"uid {STRANGER}"):
        Folder(path).names(NOW)


def test_a_link_to_a_folder_is_not_used(path: Path) -> None:
    (path.parent / "link").symlink_to(path)
    with pytest.raises(Unfit):
        Folder(path.parent / "link").prepare()


@root_only
def test_a_strangers_quarantine_is_not_used(path: Path) -> None:
    path.chmod(0o3770)
    (path / "quarantine").mkdir()
    os.chown(path / "quarantine", STRANGER, STRANGER)
    write(path)
    with pytest.raises(Unfit, match="somebody else's"):
        Folder(path).quarantine("a.jsonl", "because")
    assert Folder(path).names(NOW) == ["a.jsonl"]


def test_a_full_quarantine_takes_no_more_and_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_QUARANTINED", 1)
    write(path, "a")
    write(path, "b")
    Folder(path).quarantine("a", "because")
    with pytest.raises(Unfit, match="delete them"):
        Folder(path).quarantine("b", "because")
    assert Folder(path).names(NOW) == ["b"]


def test_what_is_being_written_is_left_alone_and_what_was_left_half_written_goes(path: Path) -> None:
    for name, age in ((".fresh", 60.0), (".old", 2 * room.UNFINISHED_SECONDS)):
        write(path, name)
        os.utime(path / name, (NOW - age, NOW - age))
    assert Folder(path).names(NOW) == []
    assert [file.name for file in path.iterdir()] == [".fresh"]


def test_so_much_is_read_at_once_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_AT_ONCE", 30)
    for name in "abc":
        write(path, name)
    assert [letter.name for letter in Folder(path).read(["a", "b", "c"], NOW)] == ["a", "b"]


def test_a_file_that_has_gone_says_nothing_and_may_be_deleted_again(path: Path) -> None:
    [letter] = Folder(path).read(["gone"], NOW)
    assert (letter.signals, letter.faults) == ([], [])
    Folder(path).delete(["gone"])
