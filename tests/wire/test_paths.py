"""Client and daemon meet without being told where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tocsin import paths


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing."""
    for name in ("TOCSIN_SOCKET", "XDG_RUNTIME_DIR", "TMPDIR", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")


def _become(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)


def test_paths_of_root_are_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    _become(0, monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert paths.socket_path() == "/run/tocsin/tocsin.sock"
    assert paths.state_folder() == "/var/lib/tocsin"


def test_paths_of_other_users_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _become(1000, monkeypatch)
    assert paths.socket_path() == "/tmp/tocsin-1000/tocsin.sock"
    assert paths.state_folder() == "/home/u/.local/state/tocsin"
    monkeypatch.setenv("TMPDIR", "/scratch")
    assert paths.socket_path() == "/scratch/tocsin-1000/tocsin.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert paths.socket_path() == "/run/user/1000/tocsin/tocsin.sock"
    assert paths.state_folder() == "/state/tocsin"


def test_socket_is_given_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SOCKET", "/env")
    assert paths.socket_path() == "/env"
    assert paths.socket_path("/given") == "/given"


def test_state_is_supervisors_then_configured_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.state_folder("/configured") == "/configured"
    monkeypatch.setenv("STATE_DIRECTORY", "/supervised")
    assert paths.state_folder("/configured") == "/supervised"


def test_client_finds_the_configured_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_SOCKET", raising=False)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alerts.toml").write_text('[daemon]\nsocket = "/here/s.sock"\n')
    (tmp_path / "other.toml").write_text('[daemon]\nsocket = "/there/s.sock"\n')
    assert paths.socket_path() == "/here/s.sock"
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "other.toml"))
    assert paths.socket_path() == "/there/s.sock"
    monkeypatch.setenv("TOCSIN_SOCKET", "/told/s.sock")
    assert paths.socket_path() == "/told/s.sock"
    assert paths.socket_path("/given/s.sock") == "/given/s.sock"


@pytest.mark.parametrize("content", [b"socket = \xff", b"socket = 5", b"[daemon]\nsocket = 5", b"[[[\nsocket"])
def test_client_uses_the_usual_socket_with_an_invalid_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.delenv("TOCSIN_SOCKET", raising=False)
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "alerts.toml"))
    (tmp_path / "alerts.toml").write_bytes(content)
    assert paths.socket_path() == paths.default_socket()


@pytest.mark.parametrize(
    ("content", "wished"),
    [
        ("[client]\nautostart = true", True),
        ("client.autostart = true", True),
        ("client = { autostart = true }", True),
        ("[client]\nautostart = false", False),
        ("[client]\nautostart = 1", False),
        ("[client]\n# autostart = true", False),
        ("[daemon]\nautostart = true", False),
        ("[[[\nautostart = true", False),
    ],
)
def test_autostart_is_off_unless_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, wished: bool
) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "alerts.toml"))
    (tmp_path / "alerts.toml").write_text(content)
    assert paths.autostart() is wished


def test_state_is_the_first_folder_of_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert paths.state_folder("/configured") == "/var/lib/one"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's socket, here; this user may write to it, and has no daemon of his own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.delenv("TOCSIN_SPOOL")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    _become(1000, monkeypatch)
    socket = tmp_path / "system.sock"
    socket.touch(0o660)
    monkeypatch.setattr(paths, "ROOT_SOCKET", str(socket))
    return socket


def test_user_without_a_daemon_uses_the_systems_socket_and_spool(system: Path) -> None:
    assert paths.socket_path() == str(system)
    assert paths.spool_folder() == "/var/lib/tocsin/spool"
    assert paths.default_socket() != str(system), "no daemon of his takes its place"


def test_users_own_socket_comes_first(system: Path, tmp_path: Path) -> None:
    own = tmp_path / "user" / "tocsin" / "tocsin.sock"
    own.parent.mkdir(parents=True)
    own.touch()
    assert paths.socket_path() == str(own)
    assert paths.spool_folder() == "/home/u/.local/state/tocsin/spool"


def test_systems_socket_without_permission_is_not_used(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert paths.socket_path() == paths.default_socket()
    assert paths.spool_folder() == "/home/u/.local/state/tocsin/spool"


def test_spool_belongs_to_the_named_socket(system: Path) -> None:
    assert paths.spool_folder(socket="/elsewhere/t.sock") == "/home/u/.local/state/tocsin/spool"
    assert paths.spool_folder(socket=str(system)) == "/var/lib/tocsin/spool"


def test_client_in_a_service_does_not_spool_into_the_services_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_SPOOL")
    _become(0, monkeypatch)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/trader")
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert paths.spool_folder() == "/var/lib/tocsin/spool"
    assert paths.state_folder() == "/var/lib/trader", "the daemon's is the supervisor's in any case"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all runtime folders, for a user who is not root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.setattr(paths, "ROOT_SOCKET", "/nowhere/tocsin.sock")
    monkeypatch.setattr(paths, "RUNTIMES", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    _become(1000, monkeypatch)
    return tmp_path


def _give(folder: Path, uid: int, mode: int = 0o700) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    os.chown(folder, uid, -1)
    return folder


AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")


@AS_ROOT
def test_cron_job_without_a_session_finds_the_sessions_socket(user: Path) -> None:
    assert paths.default_socket() == f"{user}/t/tocsin-1000/tocsin.sock"
    _give(user / "1000", 1000)
    assert paths.default_socket() == paths.socket_path() == f"{user}/1000/tocsin/tocsin.sock"


@AS_ROOT
def test_session_finds_the_socket_of_a_daemon_that_was_started_without_one(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(user / "session"))
    private = _give(user / "t" / "tocsin-1000", 1000)
    (private / "tocsin.sock").touch()
    assert paths.socket_path() == str(private / "tocsin.sock")
    assert paths.default_socket() == f"{user}/session/tocsin/tocsin.sock"
    own = _give(user / "session" / "tocsin", 1000)
    (own / "tocsin.sock").touch()
    assert paths.socket_path() == str(own / "tocsin.sock")


@AS_ROOT
@pytest.mark.parametrize(("uid", "mode"), [(12345, 0o700), (0, 0o700), (1000, 0o777), (1000, 0o1777)])
def test_private_folder_of_others_is_not_used(user: Path, monkeypatch: pytest.MonkeyPatch, uid: int, mode: int) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(user / "session"))
    (_give(user / "t" / "tocsin-1000", 1000) / "tocsin.sock").touch()
    _give(user / "t" / "tocsin-1000", uid, mode)
    assert paths.socket_path() == paths.default_socket() == f"{user}/session/tocsin/tocsin.sock"


@AS_ROOT
@pytest.mark.parametrize(("uid", "mode"), [(12345, 0o700), (1000, 0o777)])
def test_runtime_folder_is_used_only_when_private(user: Path, uid: int, mode: int) -> None:
    _give(user / "1000", uid, mode)
    assert paths.default_socket() == f"{user}/t/tocsin-1000/tocsin.sock"


@AS_ROOT
def test_runtime_folder_of_another_user_is_ignored(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(_give(user / "1001", 1001)))
    assert paths.default_socket() == f"{user}/t/tocsin-1000/tocsin.sock"


def test_relative_folders_in_variables_are_ignored(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, "here")
    assert paths.default_socket() == "/tmp/tocsin-1000/tocsin.sock"
    assert paths.state_folder() == "/home/u/.local/state/tocsin"


def test_home_is_expanded_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SPOOL", "~/spool")
    assert (paths.socket_path("~/s"), paths.spool_folder()) == ("/home/u/s", "/home/u/spool")
    monkeypatch.setenv("TOCSIN_SOCKET", "~/t")
    assert paths.socket_path() == "/home/u/t"
