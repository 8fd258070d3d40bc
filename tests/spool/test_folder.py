"""The spool folder: trust, reading, quarantine."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsind.spool import folder as folder_module
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


def errors_of(path: Path) -> list[str]:
    """The errors of all waiting old files."""
    folder = Folder(path)
    return [error for file in folder.read_old_files(folder.names(NOW)[1], NOW) for error in file.errors]


def test_old_files_are_read_oldest_first(path: Path) -> None:
    for n in range(5):
        os.utime(write(path, f"{9 - n}.jsonl", title=f"{n}"), (NOW + n, NOW + n))
    folder = Folder(path)
    found = folder.read_old_files(folder.names(NOW)[1], NOW)
    assert [[signal.title for signal in file.signals] for file in found] == [[f"{n}"] for n in range(5)]
    assert {(file.uid, file.gid) for file in found} == {(os.geteuid(), os.getegid())}
    folder.delete([file.name for file in found])
    assert folder.names(NOW) == ([], [])


def test_missing_spool_folder_is_created_private(tmp_path: Path) -> None:
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
    ("make", "message"),
    [
        (_link, "opened as a file"),
        (_hard_link, "another name elsewhere"),
        (_pipe, "no regular file"),
        (_socket, "opened as a file"),
        (_large, "at most"),
    ],
)
def test_old_file_that_is_not_a_plain_file_goes_into_quarantine(
    path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(path)
    [error] = errors_of(path)
    assert message in error
    assert Folder(path).quarantine("a.jsonl", error) == "a.jsonl"
    assert Folder(path).names(NOW) == ([], [])
    assert Folder(path).stats(0) == folder_module.SpoolStats(0, 1, error)


def test_quarantine_keeps_files_of_any_name(path: Path) -> None:
    folder, long = Folder(path), "x" * 240 + ".jsonl"
    first = folder.quarantine(write(path).name, "one")
    second = folder.quarantine(write(path, title="b").name, "another")
    third = folder.quarantine(write(path, long).name, "long")
    assert len({first, second, third}) == 3
    assert max(len(name) for name in (first, second, third)) < 100
    assert folder.stats(0).quarantined == 3


def test_outbox_of_another_version_stays_while_its_program_runs(path: Path) -> None:
    folder, reason = Folder(path), "it is of another version of the format"
    outbox = path / "a.outbox"
    outbox.write_bytes(b"tocsin outbox 9\n" + bytes(4096))
    with outbox.open("ab") as program:
        fcntl.flock(program, fcntl.LOCK_EX)
        copied = folder.put_aside("a.outbox", reason, NOW)
        assert copied is not None
        assert folder.names(NOW)[0] == ["a.outbox"], "it is looked at again, for its program will exit"
        program.write(b"written later")
        program.flush()
        assert folder.put_aside("a.outbox", reason, NOW) is None, "one copy is enough"
        assert not (path / "quarantine" / copied).read_bytes().endswith(b"later")
    moved = folder.put_aside("a.outbox", reason, NOW)
    assert moved is not None
    assert (path / "quarantine" / moved).read_bytes().endswith(b"written later")
    assert folder.names(NOW) == ([], [])


def test_spool_ignores_folders_and_other_files(path: Path) -> None:
    (path / "a.outbox").mkdir()
    (path / "b.jsonl").mkdir()
    write(path, "notes.txt")
    assert Folder(path).names(NOW) == ([], [])
    assert Folder(path).stats(0) == folder_module.SpoolStats(0, 0, None)


def test_unreadable_file_is_read_again_only_after_a_change(path: Path) -> None:
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


def test_unfinished_file_with_a_future_time_is_deleted(path: Path) -> None:
    write(path, ".later")
    os.utime(path / ".later", (NOW + 1e8, NOW + 1e8))
    Folder(path).names(NOW)
    assert list(path.iterdir()) == []


@root_only
def test_private_spool_refuses_files_of_other_users(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    assert errors_of(path) == [f"it belongs to uid {STRANGER}, and the spool is not shared"]


@root_only
def test_shared_spool_reads_a_file_as_its_owners(path: Path) -> None:
    os.chown(write(path), STRANGER, STRANGER)
    path.chmod(0o3777)
    [file] = Folder(path).read_old_files(["a.jsonl"], NOW)
    assert (file.uid, file.gid, file.errors) == (STRANGER, STRANGER, [])


def test_spool_writable_for_others_without_sticky_bit_is_unusable(path: Path) -> None:
    path.chmod(0o770)
    with pytest.raises(SpoolUnusable, match="others may write"):
        Folder(path).names(NOW)


@root_only
def test_spool_of_another_user_is_unusable(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(SpoolUnusable, match=f"uid {STRANGER}"):
        Folder(path).names(NOW)


def test_spool_that_is_a_link_is_unusable(path: Path) -> None:
    (path.parent / "link").symlink_to(path)
    with pytest.raises(SpoolUnusable):
        Folder(path.parent / "link").prepare()


@root_only
def test_quarantine_of_another_user_is_unusable(path: Path) -> None:
    path.chmod(0o3777)
    (path / "quarantine").mkdir()
    os.chown(path / "quarantine", STRANGER, STRANGER)
    write(path)
    with pytest.raises(SpoolUnusable, match="belongs to another user"):
        Folder(path).quarantine("a.jsonl", "because")
    assert Folder(path).names(NOW)[1] == ["a.jsonl"]


def test_full_quarantine_refuses_files_with_advice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_QUARANTINED", 1)
    write(path, "a.jsonl")
    write(path, "b.jsonl")
    Folder(path).quarantine("a.jsonl", "because")
    with pytest.raises(SpoolUnusable, match="delete them"):
        Folder(path).quarantine("b.jsonl", "because")
    assert Folder(path).names(NOW)[1] == ["b.jsonl"]


def test_unfinished_file_is_deleted_only_when_it_is_old(path: Path) -> None:
    for name, age in ((".fresh", 60.0), (".old", 2 * folder_module.UNFINISHED_SECONDS)):
        write(path, name)
        os.utime(path / name, (NOW - age, NOW - age))
    assert Folder(path).names(NOW) == ([], [])
    assert [file.name for file in path.iterdir()] == [".fresh"]


def test_old_files_are_read_up_to_the_byte_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_AT_ONCE", 30)
    for name in "abc":
        write(path, name)
    assert [file.name for file in Folder(path).read_old_files(["a", "b", "c"], NOW)] == ["a", "b"]


def test_deleted_old_file_has_no_signals_and_can_be_deleted_again(path: Path) -> None:
    [file] = Folder(path).read_old_files(["gone"], NOW)
    assert (file.signals, file.errors) == ([], [])
    Folder(path).delete(["gone"])
