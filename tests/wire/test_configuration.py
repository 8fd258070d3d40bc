"""Which configuration file is used: `./alerts.toml` only where no other user could have written it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import STRANGER, as_stranger, public_folder

from tocsin import configuration, notices, paths

SOCKET = '[daemon]\nsocket = "/there/s.sock"\n'
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said, as it is said for the first time."""
    texts: list[str] = []
    monkeypatch.setattr(notices, "write", texts.append)
    return texts


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, where nothing else names a configuration."""
    for name in ("TOCSIN_CONFIG", "TOCSIN_SOCKET", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(configuration, "SYSTEM", str(tmp_path / "etc" / "alerts.toml"))
    folder = tmp_path / "work"
    folder.mkdir(mode=0o755)
    monkeypatch.chdir(folder)
    (folder / "alerts.toml").write_text(SOCKET)
    return folder


def test_configuration_in_own_folder_is_used(work: Path, said: list[str]) -> None:
    assert paths.socket_path() == "/there/s.sock"
    (work / "alerts.toml").rename(work / "real.toml")
    (work / "alerts.toml").symlink_to("real.toml")
    assert paths.socket_path() == "/there/s.sock"
    assert said == []


def loosen_file(work: Path) -> None:
    (work / "alerts.toml").chmod(0o664)


def loosen_folder(work: Path) -> None:
    work.chmod(0o777)


def make_sticky(work: Path) -> None:
    work.chmod(0o1777)


def give_to_group(work: Path) -> None:
    work.chmod(0o775)


def give_file_away(work: Path) -> None:
    os.chown(work / "alerts.toml", STRANGER, STRANGER)


def give_folder_away(work: Path) -> None:
    os.chown(work, STRANGER, STRANGER)


def link_by_stranger(work: Path) -> None:
    (work / "alerts.toml").rename(work / "real.toml")
    (work / "alerts.toml").symlink_to("real.toml")
    os.chown(work / "alerts.toml", STRANGER, STRANGER, follow_symlinks=False)


def link_to_strangers_file(work: Path) -> None:
    (work / "alerts.toml").rename(work / "real.toml")
    (work / "alerts.toml").symlink_to("real.toml")
    os.chown(work / "real.toml", STRANGER, STRANGER)


def link_into_strangers_folder(work: Path) -> None:
    (work / "his").mkdir()
    (work / "alerts.toml").rename(work / "his" / "real.toml")
    (work / "alerts.toml").symlink_to("his/real.toml")
    os.chown(work / "his", STRANGER, STRANGER)


def link_into_open_folder(work: Path) -> None:
    (work / "his").mkdir()
    (work / "alerts.toml").rename(work / "his" / "real.toml")
    (work / "alerts.toml").symlink_to("his/real.toml")
    (work / "his").chmod(0o777)


def hard_link_of_strangers_file(work: Path) -> None:
    (work.parent / "his.toml").write_text(SOCKET)
    os.chown(work.parent / "his.toml", STRANGER, STRANGER)
    (work / "alerts.toml").unlink()
    (work / "alerts.toml").hardlink_to(work.parent / "his.toml")


def fifo(work: Path) -> None:
    (work / "alerts.toml").unlink()
    os.mkfifo(work / "alerts.toml")


@AS_ROOT
@pytest.mark.parametrize(
    "spoil",
    [
        *(loosen_file, loosen_folder, make_sticky, give_to_group, give_file_away, give_folder_away, link_by_stranger),
        *(link_to_strangers_file, link_into_strangers_folder, link_into_open_folder, hard_link_of_strangers_file, fifo),
    ],
)
def test_configuration_that_others_may_write_is_passed_over_with_one_notice(
    work: Path, said: list[str], spoil: Callable[[Path], None]
) -> None:
    spoil(work)
    assert [paths.socket_path() for _ in range(2)] == [paths.default_socket()] * 2
    assert [text.partition(":")[0] for text in said] == ["./alerts.toml is passed over"]
    assert paths.configuration_path() is None


@AS_ROOT
def test_configuration_that_is_passed_over_can_be_named(
    work: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    give_file_away(work)
    system = Path(configuration.SYSTEM)
    system.parent.mkdir()
    system.write_text('[daemon]\nsocket = "/system/s.sock"\n')
    assert paths.socket_path() == "/system/s.sock"
    assert len(said) == 1
    monkeypatch.setenv("TOCSIN_CONFIG", "alerts.toml")
    assert paths.socket_path() == "/there/s.sock"


@AS_ROOT
def test_configuration_of_other_users_is_not_used() -> None:
    def sought() -> list[str]:
        configuration.SYSTEM = str(folder / "none.toml")
        found = []
        for name in ("roots", "his", "others"):
            os.chdir(folder / name)
            found.append(configuration.find().path or "-")
        return found

    with public_folder() as folder:
        for name, uid in (("roots", 0), ("his", STRANGER), ("others", STRANGER + 1)):
            (folder / name).mkdir()
            (folder / name / "alerts.toml").write_text(SOCKET)
            os.chown(folder / name / "alerts.toml", uid, -1)
            os.chown(folder / name, uid, -1)
        assert as_stranger(sought) == ["alerts.toml", "alerts.toml", "-"]


def test_configuration_text_has_no_byte_order_mark(work: Path) -> None:
    (work / "alerts.toml").write_bytes(b"\xef\xbb\xbf" + SOCKET.encode())
    assert paths.socket_path() == "/there/s.sock"


@AS_ROOT
@pytest.mark.parametrize("where", ["here", "system", "named"])
def test_unreadable_configuration_notice_names_the_paths_used(where: str) -> None:
    def seen() -> list[str | None]:
        texts: list[str] = []
        notices.write = texts.append
        configuration.SYSTEM = str(folder / "etc.toml") if where == "system" else str(folder / "none.toml")
        os.chdir(folder / "his" if where == "here" else "/")
        os.environ.update({"HOME": str(folder / "his"), "XDG_RUNTIME_DIR": str(folder / "run")})
        os.environ.pop("TOCSIN_SPOOL", None)
        os.environ.pop("TOCSIN_CONFIG", None)
        if where == "named":
            os.environ["TOCSIN_CONFIG"] = str(folder / "etc.toml")
        return [paths.socket_path(), *texts, paths.configuration_problem()]

    with public_folder() as folder:
        (folder / "his").mkdir()
        for path in (folder / "etc.toml", folder / "his" / "alerts.toml"):
            path.write_text(SOCKET)
            path.chmod(0o640)  # root's, and no group of his
        socket, told, trouble = as_stranger(seen)
    named = "alerts.toml" if where == "here" else f"{folder}/etc.toml"
    assert socket == f"{folder}/run/tocsin/tocsin.sock"
    assert told.startswith(
        f"the configuration {named} cannot be read (Permission denied): signals go to {socket}, and to"
    )
    assert f"{folder}/his/.local/state/tocsin/spool" in told
    assert trouble == f"the configuration {named} cannot be read (Permission denied)"


@pytest.mark.parametrize("named", ["nowhere.toml", "."])
def test_named_configuration_that_is_missing_is_reported(
    named: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", named)
    assert paths.socket_path() == paths.default_socket()
    assert [text.partition(" (")[0] for text in said] == [f"the configuration {named} cannot be read"]


@pytest.mark.parametrize("content", [b'[daemon\nsocket = "/there/s.sock"\n', b'[daemon]\nsocket = "/there/\xff"\n'])
def test_configuration_that_is_no_toml_is_reported_with_the_paths_used(
    work: Path, said: list[str], content: bytes
) -> None:
    (work / "alerts.toml").write_bytes(content)
    assert paths.socket_path() == paths.default_socket()
    assert [text.partition(" (")[0] for text in said] == ["the configuration alerts.toml cannot be read"]
    assert f"see `tocsind check`): signals go to {paths.default_socket()}, and to the spool" in said[0]


@pytest.mark.parametrize("key", ["socket", "state"])
def test_configured_paths_expand_home_and_must_be_absolute(
    work: Path, said: list[str], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    sought: Callable[[], str] = paths.socket_path if key == "socket" else lambda: paths.state_of_socket(None)
    monkeypatch.setenv("HOME", "/home/u")
    (work / "alerts.toml").write_text(f'[daemon]\n{key} = "~/x"\n')
    assert sought() == "/home/u/x"
    assert said == []
    (work / "alerts.toml").write_text(f'[daemon]\n{key} = "x"\n')
    assert sought().startswith("/")
    assert [text.partition(" is relative")[0] for text in said] == [f"alerts.toml: [daemon] {key} = 'x'"]


@AS_ROOT
def test_configuration_that_others_may_change_starts_no_daemon(said: list[str], work: Path) -> None:
    (work / "alerts.toml").unlink()
    system = Path(configuration.SYSTEM)
    system.parent.mkdir()
    system.write_text("[client]\nautostart = true\n")
    assert paths.autostart()
    os.chown(system, STRANGER, -1)
    assert not paths.autostart()
    assert [text.partition(":")[0] for text in said] == [f"{system} starts no daemon"]
