"""Root hands in to another user's daemon: what it makes in that user's folder it gives away by descriptor, never by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tocsin import Client, Signal, attachments, spool

USER = 12345
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A spool of another user."""
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    os.chown(folder, USER, USER)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of root's that the user would like to own."""
    path = tmp_path / "shadow"
    path.write_text("root's")
    path.chmod(0o600)
    return path


def owners(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


def test_spool_changes_the_owner_by_descriptor(users: Path, secret: Path) -> None:
    file = os.open(users / "new", os.O_WRONLY | os.O_CREAT, 0o600)
    (users / "new").rename(users / "away")
    (users / "new").symlink_to(secret)
    spool.give_to_daemon(file, users.stat())
    os.close(file)
    assert (owners(users / "away"), owners(secret)) == ((USER, USER), (0, 0))


@pytest.mark.parametrize("way", ["symbolic link", "hard link", "folder with content"])
def test_client_changes_no_owner_of_a_folder_that_replaced_its_own(
    users: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    mkdir, own, was_called = os.mkdir, secret.parent / "roots", list[str]()
    own.mkdir()
    (own / "file").write_text("root's")

    def swapped(name: str, mode: int, *, dir_fd: int) -> None:
        """As a user does who waits for the moment between the two calls."""
        was_called.append(name)
        mkdir(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        if way == "hard link":
            os.link(secret, name, dst_dir_fd=dir_fd)
        elif way == "symbolic link":
            os.symlink(own, name, dir_fd=dir_fd)
        else:
            own.rename(users / name)

    monkeypatch.setattr(os, "mkdir", swapped)
    picture = secret.parent / "chart.png"
    picture.write_bytes(b"png")
    sent = Client(str(secret.parent / "absent"), spool=users).send(Signal("BUY", attach=str(picture)))
    assert sent.state == "spooled"
    assert was_called
    kept = users / attachments.FOLDER if way == "folder with content" else own
    assert [owners(secret), owners(kept), owners(kept / "file")] == [(0, 0)] * 3
