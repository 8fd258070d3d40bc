"""The state folder: its owner, its content, and the sync of its name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.harness import STRANGER, as_stranger, public_folder

from tocsind.config import parse
from tocsind.core.client_webhooks import ClientWebhooks
from tocsind.errors import CannotWrite, NotPermitted
from tocsind.host.state_folder import locked, refusal

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def error_of(folder: Path) -> str:
    with pytest.raises(NotPermitted) as refused, locked(folder):
        pass
    assert refused.value.exit_code == 77
    return str(refused.value)


def test_state_folder_is_created_private_with_its_parents(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "state") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("made", ["now", "before"])
def test_name_of_state_folder_is_synced_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    """Without it, a power cut may delete the folder with all stored signals."""
    synced = []
    sync = os.fsync

    def note(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        sync(file)

    if made == "before":
        (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr(os, "fsync", note)
    with locked(tmp_path / "state"):
        assert str(tmp_path) in synced


def test_name_of_the_client_webhooks_folder_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        sync(file)

    monkeypatch.setattr(os, "fsync", note)
    text = '[daemon]\nclient-webhooks = true\n[destinations.f]\nkind = "file"\npath = "f"\n[[routes]]\nto = ["f"]\n'
    name = ClientWebhooks(tmp_path).add("https://discord.com/api/webhooks/1/aToken", os.geteuid(), parse(text, "x"))
    assert (tmp_path / "webhooks" / name).exists()
    assert str(tmp_path) in synced
    assert str(tmp_path / "webhooks") in synced


@AS_ROOT
def test_state_folder_of_another_user_is_refused_untouched_with_the_right_command(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    for name in ("lock", "starting", "journal.redo", "journal.db", "daemon.log"):
        (folder / name).symlink_to(victim)
    os.chown(folder, STRANGER, STRANGER)
    for message in (error_of(folder), refusal(folder)):
        assert f"belongs to uid {STRANGER}, and this is root (uid 0): run `sudo -u '#{STRANGER}' tocsind run`" in str(
            message
        )
    assert "tocsind check`" in str(refusal(folder, "check"))
    assert (victim.read_text(), len(list(folder.iterdir()))) == ("precious", 5)


@AS_ROOT
def test_state_folder_of_a_user_below_roots_is_created_and_roots_own_is_refused() -> None:
    def seen() -> list[str | None]:
        with locked(folder / "state"):
            return [refusal(folder), refusal(folder / "state")]

    with public_folder(0o777) as folder:
        message, own = as_stranger(seen)
    assert "belongs to root (uid 0), and this is uid 12345: run `sudo tocsind run`" in message
    assert own is None


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_state_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    assert f"(mode {mode:04o}): run `chmod go-w {folder}`" in error_of(folder)


@pytest.mark.parametrize("name", ["lock", "journal.db", "journal.db-wal", "starting", "daemon.log", "webhooks"])
def test_state_folder_with_a_link_under_a_reserved_name_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (tmp_path / "victim").write_text("precious")
    (folder / name).symlink_to(tmp_path / "victim")
    assert f"{folder / name} is neither a file nor a folder" in error_of(folder)
    assert (tmp_path / "victim").read_text() == "precious"


@AS_ROOT
def test_state_folder_with_another_users_file_is_refused_by_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "journal.db").touch()
    os.chown(folder / "journal.db", STRANGER, -1)
    assert f"{folder}/journal.db belongs to uid {STRANGER}: run `chown root {folder}/journal.db`" in error_of(folder)


@AS_ROOT
def test_state_folder_behind_a_link_of_another_user_is_refused_and_behind_an_own_one_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("real")
    with locked(tmp_path / "state"):
        pass
    os.chown(tmp_path / "state", STRANGER, -1, follow_symlinks=False)
    assert "the link state belongs to" in error_of(tmp_path / "state")


def test_state_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(CannotWrite, match="Not a directory"), locked(tmp_path / "state"):
        pass
    assert refusal(tmp_path / "none") is None
