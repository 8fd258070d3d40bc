"""The folder where clients put files: only regular files of the signal's sender are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.attachments import MOST_BYTES
from tocsind.attachments.incoming import UNCLAIMED_SECONDS, Incoming

ME, STRANGER = os.geteuid(), 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    place = tmp_path / "spool"
    (place / "attachments").mkdir(parents=True, mode=0o700)
    place.chmod(0o700)
    return place


def put(spool: Path, name: str = "chart.png", content: bytes = b"png") -> Path:
    path = spool / "attachments" / name
    path.write_bytes(content)
    return path


def test_incoming_file_of_its_sender_is_read(spool: Path) -> None:
    put(spool)
    assert Incoming(spool).content("chart.png", ME) == b"png"


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "sub/chart.png", "..", ".", "", ".hidden", "a\0b", "nothing", "x" * 300]
)
def test_incoming_name_outside_the_folder_is_refused(spool: Path, name: str) -> None:
    (spool / "secret").write_bytes(b"secret")
    (spool / "attachments" / "sub").mkdir()
    put(spool, "sub/chart.png")
    with pytest.raises(OSError, match=r".+"):
        Incoming(spool).content(name, ME)


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, _: Path) -> None:
    path.mkdir()


def large(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


@pytest.mark.parametrize("make", [link, hard_link, pipe, folder, large])
@pytest.mark.timeout(10)
def test_incoming_file_that_is_not_a_plain_file_is_refused(
    spool: Path, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    make(spool / "attachments" / "chart.png", secret)
    with pytest.raises(OSError, match=r".+"):
        Incoming(spool).content("chart.png", ME)


def test_incoming_file_of_the_daemons_user_is_refused_to_another_user(spool: Path) -> None:
    put(spool)
    with pytest.raises(PermissionError, match=f"it belongs to uid {ME}, and uid {STRANGER} sent it"):
        Incoming(spool).content("chart.png", STRANGER)


@root_only
def test_incoming_file_of_another_user_is_refused_to_root(spool: Path) -> None:
    os.chown(put(spool), STRANGER, STRANGER)
    assert Incoming(spool).content("chart.png", STRANGER) == b"png"
    with pytest.raises(PermissionError):
        Incoming(spool).content("chart.png", 0)


@root_only
def test_incoming_folder_of_another_user_is_not_used(spool: Path) -> None:
    put(spool)
    os.chown(spool / "attachments", STRANGER, STRANGER)
    with pytest.raises(PermissionError, match=f"belongs to uid {STRANGER}"):
        Incoming(spool).content("chart.png", ME)


def test_incoming_folder_writable_for_others_is_not_used(spool: Path) -> None:
    put(spool)
    (spool / "attachments").chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        Incoming(spool).content("chart.png", ME)


def test_incoming_file_is_deleted_after_it_was_taken_over(spool: Path) -> None:
    kept, gone, outside = put(spool, "a"), put(spool, "b"), put(spool, "../outside")
    Incoming(spool).forget(["b", "never was", "../outside", str(outside)])
    assert (kept.exists(), gone.exists(), outside.exists()) == (True, False, True)


def test_incoming_file_is_deleted_when_unclaimed_for_an_hour(spool: Path) -> None:
    old, new = put(spool, ".half"), put(spool, "b")
    os.utime(old, (1000.0, 1000.0))
    os.utime(new, (1000.0 + UNCLAIMED_SECONDS, 1000.0 + UNCLAIMED_SECONDS))
    Incoming(spool).sweep(1000.0 + UNCLAIMED_SECONDS + 1)
    assert (old.exists(), new.exists()) == (False, True)


def test_incoming_folder_gets_the_mode_of_a_shared_spool(spool: Path) -> None:
    spool.chmod(0o3770)
    Incoming(spool).sweep(0.0)
    assert stat.S_IMODE((spool / "attachments").stat().st_mode) == 0o3770
    (spool / "attachments").rmdir()
    Incoming(spool).sweep(0.0)
    assert stat.S_IMODE((spool / "attachments").stat().st_mode) == 0o3770
