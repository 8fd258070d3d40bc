"""Autostart: one daemon for all callers, detached from its starter. Each is stopped by its pid from `status`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import PATIENCE, end_daemon, file, is_alive, route, until

from tocsin import Client, TocsinError, autostart

CONFIG = file() + route("local-file")
STRATEGY = """
import os, sys
from tocsin.compat import on_strategy_start, send_signal_sync
started = on_strategy_start(patience=60)
print(started, send_signal_sync({"symbol": sys.argv[1]}))
"""


class Machine:
    """A host without a daemon: its folder, and what programs on it have for an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.socket = str(folder / "run" / "t.sock")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "XDG_"))}
        self.env = {**kept, "TOCSIN_SOCKET": self.socket, "STATE_DIRECTORY": str(self.state), "HOME": str(folder)}
        self.configure(CONFIG)

    def configure(self, text: str) -> None:
        """Write the configuration that who stands in the folder finds there."""
        (self.folder / "alerts.toml").write_text(text)

    def python(self, script: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """A program of ours, in the folder."""
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env={**self.env, **env},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        with Client(self.socket, timeout=PATIENCE) as client:
            return client.status()

    def log(self) -> str:
        return (self.state / "daemon.log").read_text()

    def delivered(self) -> list[str]:
        """The titles that came to the file."""
        try:
            lines = (self.state / "alerts.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line)["title"] for line in lines]


def said(process: subprocess.Popen[str]) -> str:
    """What a program prints; its complaints fail the test."""
    out, complaints = process.communicate(timeout=90)
    assert (process.returncode, complaints) == (0, "")
    return out.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    end_daemon(found.state)


def test_autostart_by_ten_processes_starts_one_daemon(machine: Machine) -> None:
    together = [machine.python(STRATEGY, f"S{n}") for n in range(10)]
    assert [said(each) for each in together] == ["True True"] * 10
    pid = machine.status()["pid"]
    until(lambda: len(machine.delivered()) >= 10)
    assert sorted(machine.delivered()) == sorted(f"S{n}" for n in range(10))
    assert (machine.log().count(" started "), "another tocsind" in machine.log()) == (1, False)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not is_alive(pid))
    assert not autostart.is_served(machine.socket)


def test_autostart_detaches_the_daemon(machine: Machine) -> None:
    script = """
import os, sys
from tocsin.compat import on_strategy_start
reader, writer = os.pipe()
os.set_inheritable(writer, True)
assert on_strategy_start(patience=60)
os.close(writer)
print(os.read(reader, 1))  # no other process holds it: this reads its end
"""
    assert said(machine.python(script, NOTIFY_SOCKET="/nonexistent/notify")) == "b''"
    pid = machine.status()["pid"]
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[3]) not in {os.getsid(0), 0}  # its session
    assert stat[4] == "0"  # it has no terminal
    assert Path(f"/proc/{pid}/cwd").readlink() == machine.state
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path(os.devnull)
    assert {Path(f"/proc/{pid}/fd/{n}").readlink() for n in (1, 2)} == {machine.state / "daemon.log"}
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert (machine.state / "daemon.log").stat().st_mode & 0o077 == 0
    assert "local-file" in [
        each["name"] for each in machine.status()["destinations"]
    ]  # ./alerts.toml, as its starter has it
    assert len(machine.status()["destinations"]) == 1


def test_autostart_starts_none_where_a_daemon_answers(machine: Machine) -> None:
    assert said(machine.python(STRATEGY, "first")) == "True True"
    pid = machine.status()["pid"]
    assert said(machine.python(STRATEGY, "second")) == "True True"
    assert machine.status()["pid"] == pid


def test_autostart_replaces_a_killed_daemon(machine: Machine) -> None:
    assert said(machine.python(STRATEGY, "first")) == "True True"
    pid = machine.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    assert said(machine.python(STRATEGY, "second")) == "True True"
    assert machine.status()["pid"] != pid
    until(lambda: set(machine.delivered()) == {"first", "second"})  # the kill may have come in the middle of the first


def test_autostart_failure_is_in_the_daemons_log(machine: Machine) -> None:
    machine.configure(CONFIG + "colour = 1\n")
    script = STRATEGY.replace("patience=60", "patience=2")
    assert said(machine.python(script, "kept")) == "False True"
    until(lambda: "unknown key" in machine.log())
    machine.configure(CONFIG)
    assert said(machine.python(STRATEGY, "told")) == "True True"
    until(lambda: sorted(machine.delivered()) == ["kept", "told"])


def test_autostart_without_an_installed_daemon_raises_nothing(machine: Machine) -> None:
    script = "import sys; sys.executable = ''\n" + STRATEGY.replace("60", "1")
    assert said(machine.python(script, "kept", PATH="/nonexistent")) == "False True"


HAND_OFF = "import tocsin; receipt = tocsin.send('by itself'); print(receipt.state); print(receipt.reason, file=open('reason', 'w'))"


def test_autostart_by_the_first_hand_off_delivers_it(machine: Machine) -> None:
    machine.configure(f"[client]\nautostart = true\n{CONFIG}")
    assert said(machine.python(HAND_OFF)) == "spooled"
    assert "[client] autostart is starting one" in (machine.folder / "reason").read_text()
    until(lambda: machine.delivered() == ["by itself"])
    patient = HAND_OFF.replace("receipt", "tocsin.client._process_wide.timeout = 20; receipt", 1)
    assert said(machine.python(patient)) == "stored"


def test_hand_off_without_autostart_starts_no_daemon(machine: Machine) -> None:
    assert said(machine.python(HAND_OFF)) == "spooled"
    assert not (machine.state / "starting").exists()


SYSTEMCTL = """#!/bin/sh
echo "$@" >>"{folder}/asked"
[ -e "{folder}/broken" ] && exit 1
exec "{python}" -c '
import os, signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
listener.bind(sys.argv[1])
listener.listen()
child = os.fork()
if child:
    open(sys.argv[2], "w").write(str(child))
    os._exit(0)
for stream in (0, 1, 2):
    os.close(stream)
signal.pause()
' "{socket}" "{folder}/unit"
"""


@pytest.fixture
def managed(machine: Machine) -> Iterator[Machine]:
    """With what looks like a user's service manager that has our socket unit: a `systemctl` that only listens."""
    (machine.folder / "run" / "systemd").mkdir(parents=True)
    (machine.folder / "run" / "systemd" / "private").touch()
    machine.env["XDG_RUNTIME_DIR"] = str(machine.folder / "run")
    units = machine.folder / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "tocsind.socket").write_text("[Socket]\nListenStream=%t/t.sock\nSocketMode=0600\n")
    tool = machine.folder / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(SYSTEMCTL.format(folder=machine.folder, python=sys.executable, socket=machine.socket))
    tool.chmod(0o700)
    machine.env["PATH"] = f"{tool.parent}:{machine.env['PATH']}"
    yield machine
    if (machine.folder / "unit").exists():
        os.kill(int((machine.folder / "unit").read_text()), signal.SIGKILL)


START = "from tocsin.compat import on_strategy_start; print(on_strategy_start(patience=60))"


def test_autostart_uses_the_users_systemd_unit(managed: Machine) -> None:
    assert said(managed.python(START)) == "True"
    assert (managed.folder / "asked").read_text() == "--user start tocsind.socket\n"
    assert not (managed.state / "daemon.log").exists()


@pytest.mark.parametrize("trouble", ["broken", "another socket", "no manager"])
def test_autostart_without_a_working_unit_starts_a_daemon(managed: Machine, trouble: str) -> None:
    if trouble == "broken":
        (managed.folder / "broken").touch()
    elif trouble == "another socket":
        unit = managed.folder / ".config" / "systemd" / "user" / "tocsind.socket"
        unit.write_text(unit.read_text().replace("t.sock", "other.sock"))
    else:
        (managed.folder / "run" / "systemd" / "private").unlink()
    assert said(managed.python(START)) == "True"
    assert managed.status()["health"] == "ok"
    assert (managed.folder / "asked").exists() is (trouble == "broken")


def test_autostart_keeps_a_daemon_on_another_socket(machine: Machine) -> None:
    assert said(machine.python(STRATEGY, "first")) == "True True"
    other = str(machine.folder / "run" / "other.sock")
    assert said(machine.python(STRATEGY.replace("60", "1"), "second", TOCSIN_SOCKET=other)) == "False True"
    assert machine.log().count(" started ") == 1
    with pytest.raises(TocsinError):
        Client(other).status()
