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


def test_root_has_the_systems_places(monkeypatch: pytest.MonkeyPatch) -> None:
    _become(0, monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert paths.socket_path() == "/run/tocsin/tocsin.sock"
    assert paths.state_folder() == "/var/lib/tocsin"


def test_others_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _become(1000, monkeypatch)
    assert paths.socket_path() == "/tmp/tocsin-1000/tocsin.sock"
    assert paths.state_folder() == "/home/u/.local/state/tocsin"
    monkeypatch.setenv("TMPDIR", "/scratch")
    assert paths.socket_path() == "/scratch/tocsin-1000/tocsin.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert paths.socket_path() == "/run/user/1000/tocsin/tocsin.sock"
    assert paths.state_folder() == "/state/tocsin"


def test_the_socket_is_as_given_before_the_environment_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SOCKET", "/env")
    assert paths.socket_path() == "/env"
    assert paths.socket_path("/given") == "/given"


def test_the_state_is_the_supervisors_before_the_configured_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.state_folder("/configured") == "/configured"
    monkeypatch.setenv("STATE_DIRECTORY", "/supervised")
    assert paths.state_folder("/configured") == "/supervised"


def test_the_socket_that_the_configuration_names_is_found_without_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_a_configuration_that_makes_no_sense_does_not_keep_a_hand_off_from_its_usual_place(
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
def test_a_daemon_is_started_by_whoever_needs_it_only_where_the_configuration_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, wished: bool
) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "alerts.toml"))
    (tmp_path / "alerts.toml").write_text(content)
    assert paths.autostart() is wished


def test_of_several_state_folders_that_systemd_names_the_first_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_who_may_use_the_systems_daemon_and_has_none_of_his_own_uses_it_and_its_spool(system: Path) -> None:
    assert paths.socket_path() == str(system)
    assert paths.spool_folder() == "/var/lib/tocsin/spool"
    assert paths.default_socket() != str(system), "no daemon of his takes its place"


def test_his_own_daemon_comes_first(system: Path, tmp_path: Path) -> None:
    own = tmp_path / "user" / "tocsin" / "tocsin.sock"
    own.parent.mkdir(parents=True)
    own.touch()
    assert paths.socket_path() == str(own)
    assert paths.spool_folder() == "/home/u/.local/state/tocsin/spool"


def test_a_system_daemon_that_shuts_him_out_is_not_for_him(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert paths.socket_path() == paths.default_socket()
    assert paths.spool_folder() == "/home/u/.local/state/tocsin/spool"


def test_the_spool_goes_with_the_socket_that_was_named(system: Path) -> None:
    assert paths.spool_folder(socket="/elsewhere/t.sock") == "/home/u/.local/state/tocsin/spool"
    assert paths.spool_folder(socket=str(system)) == "/var/lib/tocsin/spool"


def test_a_client_that_is_itself_a_service_does_not_spool_into_its_own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_SPOOL")
    _become(0, monkeypatch)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/trader")
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert paths.spool_folder() == "/var/lib/tocsin/spool"
    assert paths.state_folder() == "/var/lib/trader", "the daemon's is the supervisor's in any case"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of everybody's runtime folders; this user may be root, who here has places as others have."""
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
def test_private_folder_that_is_not_ours_alone_is_not_looked_into(
    user: Path, monkeypatch: pytest.MonkeyPatch, uid: int, mode: int
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(user / "session"))
    (_give(user / "t" / "tocsin-1000", 1000) / "tocsin.sock").touch()
    _give(user / "t" / "tocsin-1000", uid, mode)
    assert paths.socket_path() == paths.default_socket() == f"{user}/session/tocsin/tocsin.sock"


@AS_ROOT
@pytest.mark.parametrize(("uid", "mode"), [(12345, 0o700), (1000, 0o777)])
def test_runtime_folder_counts_only_where_it_is_ours_alone(user: Path, uid: int, mode: int) -> None:
    _give(user / "1000", uid, mode)
    assert paths.default_socket() == f"{user}/t/tocsin-1000/tocsin.sock"


@AS_ROOT
def test_runtime_folder_that_su_left_behind_does_not_count(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(_give(user / "1001", 1001)))
    assert paths.default_socket() == f"{user}/t/tocsin-1000/tocsin.sock"


def test_relative_folders_in_variables_are_ignored(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, "here")
    assert paths.default_socket() == "/tmp/tocsin-1000/tocsin.sock"
    assert paths.state_folder() == "/home/u/.local/state/tocsin"


def test_home_is_put_in_full_wherever_a_place_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SPOOL", "~/spool")
    assert (paths.socket_path("~/s"), paths.spool_folder()) == ("/home/u/s", "/home/u/spool")
    monkeypatch.setenv("TOCSIN_SOCKET", "~/t")
    assert paths.socket_path() == "/home/u/t"
