"""Trust, with real users: the user of the listener, the owner of files in the working folder, and the owner of the state."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, STRANGER, listening_stranger, public_folder

import tocsin
from tocsin import paths, spawn
from tocsin.autostart import is_served
from tocsin.errors import Unreachable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

YES = b'\x00\x00\x00\x0b{"ok":true}'  # replies with which a listener might pass for the daemon


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder(0o1777) as folder:
        yield folder


@pytest.fixture(autouse=True)
def bare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without paths, except for the spool of this test."""
    for name in ("TOCSIN_SOCKET", "TOCSIN_CONFIG", "STATE_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "ROOT_STATE", str(folder / "system-state"))


def command(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env={**os.environ, **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


CALLS: dict[str, Callable[[str], Any]] = {
    "send": lambda path: tocsin.Client(path).send("BUY"),
    "send-none": lambda path: tocsin.Client(path, ack="none").send("BUY"),
    "send_many": lambda path: tocsin.Client(path).send_many([{"title": "BUY"}]),
    "status": lambda path: tocsin.Client(path).request("status"),
    "tail": lambda path: list(tocsin.Client(path).stream("tail")),
    "add_webhook": lambda path: tocsin.Client(path).add_webhook("https://discord.com/api/webhooks/1/t"),
    "served": is_served,
}


@pytest.mark.parametrize("call", CALLS)
def test_client_sends_no_byte_to_listener_of_stranger(folder: Path, call: str) -> None:
    with listening_stranger(folder / "s", YES) as ended:
        try:
            answer = CALLS[call](str(folder / "s"))
        except Unreachable as error:
            answer = str(error)
        assert ended() == b""
    assert call == "served" or f"uid {STRANGER}" in str(answer)


@pytest.mark.parametrize("verb", [["send", "BUY", "--json"], ["status"], ["tail"], ["top"], ["why", "0" * 26]])
def test_command_sends_nothing_to_listener_of_stranger_and_reports_it(folder: Path, verb: list[str]) -> None:
    with listening_stranger(folder / "s", YES) as ended:
        done = command("tocsin", *verb, "--socket", str(folder / "s"))
        assert ended() == b""
    assert f"uid {STRANGER}" in (done.stdout if "--json" in verb else done.stderr)
    assert (done.returncode == 0) is ("send" in verb), "a signal is spooled instead"
    assert '"spooled"' in done.stdout or "send" not in verb


def test_client_sends_to_owner_of_state_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So clients of other users and cron jobs reach the service's daemon."""
    (folder / "service").mkdir()
    (folder / "state").mkdir()
    (folder / "alerts.toml").write_text(f'[daemon]\nsocket = "{folder}/service/s"\nstate = "{folder}/state"\n')
    os.chown(folder / "service", STRANGER, STRANGER)
    monkeypatch.setenv("TOCSIN_CONFIG", str(folder / "alerts.toml"))
    with listening_stranger(folder / "service" / "s", YES) as ended:
        assert tocsin.Client().send("BUY").state == "spooled"
        os.chown(folder / "state", STRANGER, STRANGER)
        tocsin.Client().send("SELL")
        received = ended()
    assert (b"SELL" in received, b"BUY" in received) == (True, False)


@pytest.mark.parametrize("how", ["system-state", "TOCSIN_DAEMON_UID"])
def test_client_sends_to_owner_of_system_state_and_to_named_uid(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "system-state":
        (folder / how).mkdir()
        os.chown(folder / how, STRANGER, -1)
    else:
        monkeypatch.setenv(how, str(STRANGER))
    with listening_stranger(folder / "s", YES) as ended:
        tocsin.Client(str(folder / "s")).send("BUY")
        assert b"BUY" in ended()


def test_client_checks_uid_of_listener_not_of_replying_process(folder: Path) -> None:
    """As under socket activation: the service manager listens, and the daemon's user replies."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        with listening_stranger(folder / "s", YES, listener) as ended:
            tocsin.Client(str(folder / "s")).send("BUY")
            assert b"BUY" in ended()


HOSTILE = """\
[daemon]
socket = "{folder}/s"
state = "{folder}/his-state"
[client]
autostart = true
[destinations.f]
kind = "file"
path = "{folder}/roots-file"
[[routes]]
to = ["f"]
"""


@pytest.fixture
def hostile(folder: Path) -> Path:
    """A folder of a stranger with a configuration in it."""
    place = folder / "his"
    place.mkdir()
    (place / "alerts.toml").write_text(HOSTILE.format(folder=folder))
    (folder / "roots-file").write_text("#!/bin/sh\n")
    for path in (place, place / "alerts.toml"):
        os.chown(path, STRANGER, STRANGER)
    return place


@pytest.mark.parametrize("sudo", [{}, {"SUDO_UID": str(STRANGER), "SUDO_USER": "mallory"}], ids=["root", "sudo"])
def test_root_ignores_configuration_of_stranger_in_working_folder(
    folder: Path, hostile: Path, sudo: dict[str, str]
) -> None:
    with listening_stranger(folder / "s", YES) as ended:
        env = {"TOCSIN_SPOOL": str(folder / "spool"), **sudo}
        sent = command("tocsin", "send", "BUY", cwd=hostile, **env)
        checked = command("tocsind", "check", cwd=hostile, STATE_DIRECTORY=str(folder / "state"), **env)
        assert ended() == b""
    assert (sent.returncode, checked.returncode) == (0, 0)
    for output in (sent.stderr, checked.stderr):
        assert "./alerts.toml is passed over: the folder belongs to" in output
    assert "built-in default: ok" in checked.stdout
    assert (folder / "roots-file").read_text() == "#!/bin/sh\n"
    assert len(list((folder / "spool").iterdir())) == 1
    assert not (folder / "his-state").exists(), "no daemon was started there"


def test_demo_imports_no_python_of_working_folder(hostile: Path) -> None:
    """`python -m` looks into the working folder first."""
    for name in ("tocsind", "trio"):
        (hostile / f"{name}.py").write_text("open('run', 'w').close(); raise SystemExit(99)\n")
    script = "import sys; from tocsin.cli import main; sys.exit(main(['demo', '--help']))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=hostile, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode != 99, done.stderr
    assert not (hostile / "run").exists()


@pytest.mark.parametrize("path", [".", "", "bin"])
def test_autostart_runs_no_program_of_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for place in (folder, folder / "bin"):
        place.mkdir(exist_ok=True)
        (place / "tocsind").write_text("#!/bin/sh\n")
        (place / "tocsind").chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{path}:{path}")
    assert spawn._program("tocsind") is None
    monkeypatch.setenv("PATH", str(folder / "bin"))
    assert spawn._program("tocsind") == str(folder / "bin" / "tocsind")


def test_client_warnings_go_to_stderr_without_logging_setup(hostile: Path) -> None:
    script = "import tocsin; [tocsin.send('BUY') for _ in range(2)]"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=hostile, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stderr.count("is passed over") == 1


def test_daemon_and_check_of_root_refuse_state_folder_of_another_user(folder: Path) -> None:
    state = folder / "state"
    state.mkdir(mode=0o700)
    (folder / "roots-file").write_text("precious")
    (state / "lock").symlink_to(folder / "roots-file")
    os.chown(state, STRANGER, STRANGER)
    env = {"STATE_DIRECTORY": str(state), "TOCSIN_SOCKET": str(folder / "s")}
    for verb, code in (("run", 77), ("check", 78)):
        done = command("tocsind", verb, cwd=None, **env)
        assert (done.returncode, f"sudo -u '#{STRANGER}' tocsind {verb}" in done.stderr) == (code, True), done.stderr
    assert (folder / "roots-file").read_text() == "precious"
    assert [path.name for path in state.iterdir()] == ["lock"]


def test_autostart_of_root_refuses_state_folder_of_another_user(folder: Path) -> None:
    state = folder / "state"
    state.mkdir(mode=0o700)
    (folder / "roots-file").write_text("precious")
    (state / "starting").symlink_to(folder / "roots-file")
    (folder / "alerts.toml").write_text(
        f'[client]\nautostart = true\n[daemon]\nstate = "{state}"\nsocket = "{folder}/s"\n'
    )
    os.chown(state, STRANGER, STRANGER)
    done = command(
        "tocsin", "send", "BUY", TOCSIN_CONFIG=str(folder / "alerts.toml"), TOCSIN_SPOOL=str(folder / "spool")
    )
    assert f"no daemon is started: other users may change the state folder {state}" in done.stderr
    assert [path.name for path in state.iterdir()] == ["starting"]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o755])
def test_daemon_refuses_socket_in_shared_temporary_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))
    private = Path(paths.own_sockets()[-2]).parent
    private.mkdir()
    private.chmod(mode)
    done = command("tocsind", "run", STATE_DIRECTORY=str(folder / "state"), TOCSIN_SOCKET=str(private / "tocsin.sock"))
    assert (done.returncode, f"with mode {mode:04o}" in done.stderr) == (73, True), done.stderr
    assert list(private.iterdir()) == []


def test_daemon_refuses_socket_behind_link_of_stranger(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    os.chown(folder / "link", STRANGER, -1, follow_symlinks=False)
    done = command("tocsind", "run", STATE_DIRECTORY=str(folder / "state"), TOCSIN_SOCKET=str(folder / "link" / "s"))
    assert (done.returncode, "the link link belongs to" in done.stderr) == (73, True), done.stderr
    assert list((folder / "real").iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_daemon_refuses_log_file_of_stranger(folder: Path, kind: str) -> None:
    (folder / "roots-file").write_text("precious")
    log = folder / "log"
    if kind == "file":
        log.write_text("precious")
    elif kind == "link":
        log.symlink_to("roots-file")
    else:
        os.mkfifo(log)
    os.chown(log, STRANGER, STRANGER, follow_symlinks=False)
    env = {"STATE_DIRECTORY": str(folder / "state"), "TOCSIN_SOCKET": str(folder / "s")}
    done = command("tocsind", "run", "--log-file", str(log), cwd=None, **env)
    assert (done.returncode, "cannot be written" in done.stderr) == (73, True), done.stderr
    assert (folder / "roots-file").read_text() == "precious"
    assert kind != "file" or log.read_text() == "precious"
