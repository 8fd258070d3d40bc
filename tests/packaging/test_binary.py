"""The single binary, as a folder and as one file, works as the installed package does. `make binary` builds it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from tests.e2e.kills import assert_kills_lose_nothing
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, route, until
from tests.manager import Listening, Manager
from tests.packaging.conftest import Binary, built
from tests.shared.conftest import RedisServer, redis_server

pytestmark = pytest.mark.binary
__all__ = ["redis_server"]  # a fixture


def run(binary: Binary, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user would."""
    return subprocess.run(
        words,
        env={**binary.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def places(daemon: DaemonProcess) -> dict[str, str]:
    """Where a client finds this daemon."""
    return {"TOCSIN_SOCKET": daemon.socket, "TOCSIN_SPOOL": str(daemon.spool)}


# --- names -----------------------------------------------------------------------------------------------------------


def test_binary_selects_program_by_name_or_first_argument(binary: Binary) -> None:
    assert run(binary, binary.tocsin, "--version").stdout.startswith("tocsin 0")
    assert run(binary, binary.tocsind, "--version").stdout.startswith("tocsind 0")
    assert run(binary, binary.path, "--version").stdout.startswith("tocsin 0")
    assert run(binary, binary.path, "tocsind", "--version").stdout.startswith("tocsind 0")
    assert run(binary, binary.tocsind, "tocsin", "--version").stdout.startswith("tocsin 0")
    assert run(binary, binary.path, "-m", "tocsind", "--version").stdout.startswith("tocsind 0")


def test_binary_refuses_modules_of_others(binary: Binary) -> None:
    done = run(binary, binary.tocsin, "-m", "http.server")
    assert (done.returncode, done.stdout) == (64, "")
    assert "http.server" in done.stderr


def test_binary_lists_versions(binary: Binary) -> None:
    output = json.loads(run(binary, binary.tocsind, "--version", "--json").stdout)
    assert output["form"] == binary.form
    assert output["openssl"].startswith("OpenSSL 3")
    assert all((output["sqlite"], *output["libraries"].values()))
    assert {"certifi", "httpx", "msgspec", "trio"} <= set(output["libraries"])


def test_binary_passes_exit_codes_on(binary: Binary, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("nonsense = 1\n")
    assert run(binary, binary.tocsin, "nonsense").returncode == 64
    assert run(binary, binary.tocsind, "check", "--config", tmp_path / "wrong.toml").returncode == 78
    assert run(binary, binary.tocsin, "status", "-q", TOCSIN_SOCKET=str(tmp_path / "none")).returncode == 69


# --- delivery ------------------------------------------------------------------------------------------------------------


def test_binary_delivers_and_shows_status(binary: Binary, tmp_path: Path, fake: FakeProcess) -> None:
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, command=[binary.tocsind]) as daemon:
        daemon.start()
        sent = run(binary, binary.tocsin, "send", "by a binary", "--wait", "20s", **places(daemon))
        assert sent.returncode == 0, sent.stderr
        status = json.loads(run(binary, binary.tocsin, "status", "--json", **places(daemon)).stdout)
        assert (status["health"], status["counters"]["notifications_sent"]) == ("ok", 1)
        assert "tocsin_build_info" in run(binary, binary.tocsin, "status", "--prometheus", **places(daemon)).stdout
        why = run(binary, binary.tocsin, "why", sent.stdout.strip(), **places(daemon))
        assert "delivered" in why.stdout
    assert fake.titles() == ["by a binary"]


def test_binary_serves_its_page(binary: Binary, tmp_path: Path) -> None:
    config = '[http]\nlisten = "127.0.0.1:0"\ntoken = { env = "PAGE_TOKEN" }\n' + file() + route("local-file")
    with DaemonProcess(tmp_path, config, {"PAGE_TOKEN": "the-token"}, command=[binary.tocsind]).start() as daemon:
        address = daemon.status()["http"]["listen"]
        page = urllib.request.Request(f"http://{address}/", headers={"Authorization": "Bearer the-token"})
        with urllib.request.urlopen(page, timeout=PATIENCE) as answer:
            assert b'id="headline"' in answer.read()


def test_binary_loses_nothing_in_five_kills(
    binary: Binary, tmp_path: Path, fake: FakeProcess, kill_chance: random.Random
) -> None:
    assert_kills_lose_nothing(tmp_path, fake, 5, kill_chance, command=[binary.tocsind])


def test_daemon_ends_when_bootloader_is_killed(binary: Binary, tmp_path: Path) -> None:
    """For the single file that is the bootloader. Its child must not keep running without a supervisor."""
    with DaemonProcess(tmp_path, file() + route("local-file"), command=[binary.tocsind]) as daemon:
        pid = daemon.start().status()["pid"]
        daemon.kill()
        until(lambda: not Path(f"/proc/{pid}").exists())


def test_binary_runs_demo(binary: Binary, tmp_path: Path) -> None:
    done = run(binary, binary.tocsin, "demo", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "nothing was lost" in done.stdout
    assert list(tmp_path.glob("*")) == [tmp_path / "bin"]


def test_command_of_binary_gets_original_environment(binary: Binary) -> None:
    done = run(binary, binary.tocsin, "run", "--", "env", VIRTUAL_ENV="/somewhere", LD_LIBRARY_PATH="/else/where")
    output = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (output["VIRTUAL_ENV"], output["LD_LIBRARY_PATH"]) == ("/somewhere", "/else/where")
    assert not any("_PYI_" in name or "_MEI" in value for name, value in output.items())
    bare = run(binary, binary.tocsin, "run", "--", "env")
    assert "LD_LIBRARY_PATH" not in bare.stdout


# --- processes -------------------------------------------------------------------------------------------------------


def test_binary_notifies_service_manager_from_daemon_process(binary: Binary, tmp_path: Path) -> None:
    """The folder's daemon is the process that was started, as NotifyAccess=main requires; the file's daemon is its child, which needs =all.

    By MAINPID the manager learns which of its two processes to ask for a reload or a stop.
    """
    config = file() + route("local-file")
    with (
        Manager(str(tmp_path / "manager")) as manager,
        Listening(tmp_path / "t.sock") as listening,
        DaemonProcess(tmp_path, config) as daemon,
    ):
        env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
        started = daemon.spawn(*listening.inheriting(binary.tocsind), env=env, **listening.popen).pid
        ready, sender = manager.receive_assignment("READY")
        assert ready["MAINPID"] == str(sender) == str(daemon.status()["pid"])
        assert (sender == started) is (binary.form == "folder")
        assert manager.receive_assignment("WATCHDOG")[1] == sender
        daemon.reload()
        assert manager.receive_assignment("RELOADING")[1] == sender
        assert manager.receive_assignment("READY")[1] == sender
        daemon.process.terminate()
        assert manager.receive_assignment("STOPPING")[1] == sender
        assert daemon.process.wait(PATIENCE) == 0
        assert Path(daemon.socket).exists()  # it is the manager's


def test_unit_of_binary_accepts_notification_of_daemon_process(binary: Binary, tmp_path: Path) -> None:
    done = run(binary, binary.tocsind, "service", "install", "--root", tmp_path, "--exec", "/usr/local/bin/tocsind")
    assert done.returncode == 0, done.stderr
    unit = (tmp_path / "etc/systemd/system/tocsind.service").read_text().splitlines()
    assert ("NotifyAccess=all" if binary.form == "file" else "NotifyAccess=main") in unit
    assert "KillMode=mixed" in unit  # else the daemon would get the signal again from the bootloader


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_daemon_gets_signal_to_process_group_once(
    binary: Binary, tmp_path: Path, fake: FakeProcess, number: signal.Signals
) -> None:
    """As Ctrl-C in a terminal does. After a second signal the daemon would exit without waiting for sends in flight."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    config = discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, {"TMPDIR": str(temporary)}, command=[binary.tocsind]) as daemon:
        serving = daemon.start(start_new_session=True).status()["pid"]
        # its own process group: else both get the signal, and a signal passed on by the bootloader would rarely show
        assert os.getpgid(serving) == serving
        assert len(list(temporary.iterdir())) == (binary.form == "file")
        fake.hold(saved=True)  # so that a daemon which did not wait for the answer sends a second one
        id_ = daemon.client.send("in flight").id
        fake.await_held()
        os.killpg(daemon.process.pid, number)
        daemon.await_silence()
        fake.release()
        assert daemon.process.wait(PATIENCE) == 0
        assert list(temporary.iterdir()) == []
        assert daemon.start().settled(id_) == ["delivered"]
    assert len(fake.embeds()) == 1


def test_unpacked_folder_is_locked(tmp_path: Path) -> None:
    """systemd-tmpfiles locks a folder before it removes it, and skips folders that it cannot lock."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [str(built("file")), "tocsind"]
    with DaemonProcess(tmp_path, file() + route("local-file"), {"TMPDIR": str(temporary)}, command=command) as daemon:
        daemon.start()
        [unpacked] = temporary.iterdir()
        assert subprocess.run(["flock", "--nonblock", unpacked, "true"], check=False).returncode == 1
        daemon.stop()


# --- content -------------------------------------------------------------------------------------------------------


def test_binary_has_no_runpath_of_build_machine(binary: Binary) -> None:
    """The linker would load libraries from that folder, which may be a user's home on another machine."""
    if binary.form == "file":
        pytest.skip("it is packed from the same files")
    for path in binary.path.parent.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            output = subprocess.run(["readelf", "--dynamic", path], capture_output=True, text=True, check=True).stdout
            paths = [line for line in output.splitlines() if "RUNPATH" in line or "RPATH" in line]
            assert all("[]" in line or "$ORIGIN" in line for line in paths), (path, paths)


def test_bundle_has_no_development_packages(binary: Binary) -> None:
    if binary.form == "file":
        pytest.skip("it is packed from the same files")
    names = {path.name.partition(".")[0].partition("-")[0] for path in binary.path.parent.rglob("*")}
    assert not names & {"hypothesis", "pytest", "mypy", "ruff", "pip", "setuptools", "tkinter"}


# --- several hosts ---------------------------------------------------------------------------------------------------------


def test_binary_shares_a_channel_through_an_engine(
    binary: Binary, tmp_path: Path, fake: FakeProcess, redis_server: RedisServer
) -> None:
    config = f'[shared]\nurl = "{redis_server.url}"\n' + discord("d", fake.webhooks[0]["url"]) + route("d")
    with DaemonProcess(tmp_path, config, command=[binary.tocsind]) as daemon:
        daemon.start()
        sent = run(binary, binary.tocsin, "send", "through an engine", "--wait", "30s", **places(daemon))
        assert (sent.returncode, fake.titles()) == (0, ["through an engine"]), sent.stderr
        assert redis_server.command("KEYS", "tocsin:*:lease")
        daemon.stop()
