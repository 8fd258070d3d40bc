"""Whom a process trusts: files, folders and links by their owner, judged by what was opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import STRANGER, listening_stranger, public_folder

from tocsin import trust
from tocsin.trust import Untrusted, UntrustedPeer

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def content(path: Path, *, orders: bool = False) -> str:
    with os.fdopen(trust.open_file(str(path), orders=orders)) as file:
        return file.read()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("ours")
    return folder


def test_open_file_reads_own_file_through_own_links(own: Path) -> None:
    (own / "near").symlink_to("file")
    (own / "far").symlink_to(own / "near")
    (own / "up").symlink_to("..")
    assert [content(own / name) for name in ("file", "near", "far", "up/own/far", "./file")] == ["ours"] * 5


def test_open_file_follows_no_link_at_all_where_none_belongs(own: Path) -> None:
    (own / "link").symlink_to("file")
    with pytest.raises(Untrusted, match="link is a symbolic link"):
        trust.open_file(str(own / "link"), follow=False)
    os.close(trust.open_file(str(own / "file"), follow=False))


def test_open_file_names_what_is_missing_and_ends_a_loop_of_links(own: Path) -> None:
    (own / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError):
        content(own / "none")
    with pytest.raises(OSError, match="Too many levels"):
        content(own / "loop")


@AS_ROOT
def test_open_file_refuses_file_of_stranger(own: Path) -> None:
    os.chown(own / "file", STRANGER, -1)
    with pytest.raises(Untrusted, match=f"it belongs to uid {STRANGER}"):
        content(own / "file")


@AS_ROOT
def test_open_file_refuses_own_file_in_folder_of_stranger(own: Path) -> None:
    os.chown(own, STRANGER, -1)
    with pytest.raises(Untrusted, match="its folder belongs to"):
        content(own / "file")


@AS_ROOT
@pytest.mark.parametrize("way", ["link", "folder/file"], ids=["last", "on-the-way"])
def test_open_file_follows_no_link_of_stranger(own: Path, way: str) -> None:
    own.chmod(0o1777)
    (own / way.partition("/")[0]).symlink_to("file" if way == "link" else ".")
    assert content(own / way) == "ours"
    os.chown(own / way.partition("/")[0], STRANGER, -1, follow_symlinks=False)
    with pytest.raises(Untrusted, match=r"the link \S+ belongs to"):
        content(own / way)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_open_file_opens_regular_files_only_and_never_waits(own: Path, kind: str) -> None:
    os.mkfifo(own / "fifo")
    (own / "folder").mkdir()
    path = Path(os.devnull) if kind == "device" else own / kind
    with pytest.raises(OSError, match="Is a directory" if kind == "folder" else "not a regular file"):
        content(path)


def test_open_file_refuses_hard_link_where_others_may_write(own: Path) -> None:
    (own / "second").hardlink_to(own / "file")
    assert content(own / "second") == "ours"
    own.chmod(0o1777)
    with pytest.raises(Untrusted, match="hard link"):
        content(own / "second")


@pytest.mark.parametrize("writable", ["file", "folder"])
@pytest.mark.parametrize("mode", [0o020, 0o002, 0o1002])
def test_open_file_takes_no_orders_from_what_others_may_write(own: Path, writable: str, mode: int) -> None:
    assert content(own / "file", orders=True) == "ours"
    path = own / "file" if writable == "file" else own
    path.chmod(0o755 | mode)
    with pytest.raises(Untrusted, match="other users than its owner may write"):
        content(own / "file", orders=True)


class Entry:
    pw_gid, pw_name, gr_name = 7, "u", "u"

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


@pytest.mark.parametrize(
    ("owner", "group", "mode", "expected"),
    [
        (Entry(), Entry(gr_mem=[]), 0o775, False),
        (Entry(), Entry(gr_mem=["u"]), 0o775, False),
        (Entry(), Entry(gr_mem=["u", "v"]), 0o775, True),
        (Entry(), Entry(gr_mem=[], gr_name="staff"), 0o775, True),
        (Entry(pw_gid=8), Entry(gr_mem=[]), 0o775, True),
        (Entry(), Entry(gr_mem=[]), 0o777, True),
    ],
)
def test_private_group_of_a_user_has_no_other_member(
    monkeypatch: pytest.MonkeyPatch, owner: Entry, group: Entry, mode: int, expected: bool
) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda _: owner)
    monkeypatch.setattr("grp.getgrgid", lambda _: group)
    found = os.stat_result((mode, 0, 0, 1, 1000, 7, 0, 0, 0, 0))
    assert trust.others_may_write(found) is expected
    assert trust.others_may_write(os.stat_result((mode, 0, 0, 1, 0, 7, 0, 0, 0, 0))), "root's group has not root alone"


def test_open_file_makes_missing_file_with_its_mode(own: Path) -> None:
    made = trust.open_file(str(own / "new"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(made, b"new")
    os.close(made)
    assert ((own / "new").read_text(), (own / "new").stat().st_mode & 0o7777) == ("new", 0o600)


def test_open_folder_takes_no_orders_from_what_others_may_write(own: Path) -> None:
    os.close(trust.open_folder(str(own), orders=True))
    own.chmod(0o775)
    os.close(trust.open_folder(str(own)))
    with pytest.raises(Untrusted, match="mode 0775"):
        trust.open_folder(str(own), orders=True)


@AS_ROOT
def test_open_folder_refuses_folder_of_stranger_unless_he_is_named(own: Path) -> None:
    os.chown(own, STRANGER, -1)
    with pytest.raises(Untrusted, match="it belongs to"):
        trust.open_folder(str(own))
    os.close(trust.open_folder(str(own), by={STRANGER}))


def test_make_folder_syncs_each_new_name_into_the_folder_above(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def note(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    trust.make_folder(str(own / "a" / "b"))
    assert synced == [str(own), str(own / "a")]
    assert [(own / name).stat().st_mode & 0o7777 for name in ("a", "a/b")] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777, 0o1777])
def test_check_private_takes_own_folder_of_mode_0700_only(own: Path, mode: int) -> None:
    own.chmod(0o700)
    trust.check_private(own.lstat(), "it")
    own.chmod(mode)
    with pytest.raises(Untrusted, match=f"mode {mode:04o}"):
        trust.check_private(own.lstat(), "it")


@AS_ROOT
def test_check_private_refuses_folder_of_stranger_and_link(own: Path) -> None:
    own.chmod(0o700)
    (own.parent / "link").symlink_to(own)
    with pytest.raises(Untrusted):
        trust.check_private((own.parent / "link").lstat(), "it")
    os.chown(own, STRANGER, -1)
    with pytest.raises(Untrusted):
        trust.check_private(own.lstat(), "it")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield listener


def connected(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.connect(path)
    return listener


def test_peer_of_a_listener_is_who_listens(listener: socket.socket) -> None:
    with connected(listener.getsockname()) as peer:
        assert trust.peer_of(peer) == (os.getpid(), os.geteuid(), os.getegid())
        trust.check_peer(peer, trust.owners())


@AS_ROOT
def test_check_peer_refuses_listener_of_stranger() -> None:
    with public_folder(0o777) as folder, listening_stranger(folder / "s"), connected(str(folder / "s")) as peer:
        with pytest.raises(UntrustedPeer, match=f"uid {STRANGER}") as refused:
            trust.check_peer(peer, trust.owners())
        assert refused.value.errno is None, "not the kernel's refusal: the signal may go to the spool"
        trust.check_peer(peer, {STRANGER})


def test_check_way_names_the_folder_where_others_may_put_another(own: Path) -> None:
    own.chmod(0o1777)
    (own / "below").mkdir()
    trust.check_way(os.path.realpath(own / "below"))
    own.chmod(0o777)
    with pytest.raises(Untrusted, match=f"write to {own}"):
        trust.check_way(os.path.realpath(own / "below"))
