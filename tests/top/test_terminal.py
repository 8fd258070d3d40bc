"""`tocsin top` as a person has it: in a terminal of 80 by 24, made by tmux, on a real daemon."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.harness import PATIENCE, DaemonProcess, FakeProcess, discord, file, need, route, until

COMMAND = str(Path(sys.executable).with_name("tocsin"))


class Tmux:
    """One terminal on a server of its own, which ends with it."""

    def __init__(self, socket: Path, command: str) -> None:
        self._socket = socket
        script = f"stty -a > before; {command}; echo LEFT $?; stty -a > part; mv part after; cat"
        self.run("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(socket.parent), script)

    def run(self, *words: str) -> str:
        return subprocess.run(
            [need("tmux"), "-S", str(self._socket), *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def signal(self, number: int) -> None:
        """To `top`, the child of the shell in the terminal."""
        shell = self.run("list-panes", "-F", "#{pane_pid}").strip()
        [child] = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        os.kill(int(child), number)

    def screen(self, *flags: str) -> str:
        return self.run("capture-pane", "-p", *flags)

    def shows(self, *patterns: str) -> str:
        """The screen, once all of these are on it: a terminal can only be looked at."""
        end = time.monotonic() + PATIENCE
        while True:
            screen = self.screen()
            missing = [pattern for pattern in patterns if not re.search(pattern, screen, re.MULTILINE)]
            if not missing:
                return screen
            assert time.monotonic() < end, f"{missing} not on\n{screen}"
            time.sleep(0.05)


@pytest.fixture
def daemon(tmp_path: Path, fake: FakeProcess) -> Iterator[DaemonProcess]:
    """One whose Discord takes its time: what is handed over stays on its way."""
    fake.hold()
    config = discord("premium", fake.webhooks[0]["url"]) + file() + route("premium")
    with DaemonProcess(tmp_path / "d", config) as running:
        yield running.start()


Start = Callable[..., Tmux]


@pytest.fixture
def top(tmp_path: Path, daemon: DaemonProcess) -> Iterator[Start]:
    """Starts `tocsin top` with these words and variables."""
    running: list[Tmux] = []

    def start(*words: str, **env: str) -> Tmux:
        variables = {"TERM": "tmux-256color", "LANG": "C.UTF-8", "TOCSIN_SOCKET": daemon.socket, **env}
        assigned = [f"{name}={value}" for name, value in variables.items()]
        command = shlex.join(["env", *assigned, COMMAND, "top", "--interval", "100ms", *words])
        running.append(Tmux(tmp_path / "tmux", command))
        return running[0]

    yield start
    for terminal in running:
        terminal.run("kill-server")


def left_as_it_was(terminal: Tmux, folder: Path, code: int) -> bool:
    """Whether `top` left with `code`, its screen is gone, and the terminal's settings are what they were."""
    screen = terminal.shows(rf"^LEFT {code}$")
    until((folder / "after").exists)
    return "DESTINATION" not in screen and (folder / "after").read_text() == (folder / "before").read_text()


def test_top_shows_all_screens_and_restores_the_terminal(top: Start, daemon: DaemonProcess, tmp_path: Path) -> None:
    receipt = daemon.client.send("a title to find")
    terminal = top()
    screen = terminal.shows(
        r"^tocsind \S+ is ok, up ", r"^premium +ready +0 +0 +1 +0 ", r"^local-file +ready", r"^q leave"
    )
    assert len(screen.splitlines()) == 24
    terminal.press("Enter")
    terminal.shows(rf"^{receipt.id} +normal +sending .* a title to find")
    terminal.press("Enter")
    terminal.shows(rf"^{receipt.id}  a title to find", r"attempt 1: in flight")
    terminal.press("q", "q", "q")
    assert left_as_it_was(terminal, tmp_path, 0)


def test_top_survives_a_resize_and_a_restart_of_the_daemon(top: Start, daemon: DaemonProcess) -> None:
    terminal = top()
    terminal.shows(r"^premium +ready")
    terminal.run("resize-window", "-x", "100", "-y", "12")
    terminal.shows(r"\A(.*\n){11}q leave")
    daemon.kill()
    terminal.shows(r"^no answer for \d+m?s: no daemon at ", r"^premium +ready")
    daemon.start()
    terminal.shows(rf"^tocsind \S+ is ok, up \d+m?s, pid {daemon.process.pid}$")


def test_top_without_colour_shows_the_same(top: Start) -> None:
    terminal = top(NO_COLOR="1")
    terminal.shows(r"^tocsind \S+ is ok", r"^premium +ready")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.screen("-e"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_top_restores_the_terminal_on_every_exit(top: Start, tmp_path: Path, number: int, code: int) -> None:
    terminal = top()
    terminal.shows(r"^premium +ready")
    terminal.signal(number)
    assert left_as_it_was(terminal, tmp_path, code)


def test_top_key_pause_stops_and_resumes_updates(top: Start, daemon: DaemonProcess) -> None:
    terminal = top()
    terminal.shows(r"^premium +ready +0 +0 +0 +0 ")
    terminal.press("p")
    terminal.shows("PAUSED")
    daemon.client.send("later")
    assert re.search(r"^premium +ready +0 +0 +0 +0 ", terminal.screen(), re.MULTILINE)
    terminal.press("p")
    terminal.shows(r"^premium +ready +0 +0 +1 +0 ")


def test_top_prints_plain_lines_on_a_dumb_terminal(top: Start) -> None:
    top("--count", "2", TERM="dumb").shows(r"^\d\d:\d\d:\d\d  ok  queued  urgent 0", r"^  premium +ready", r"^LEFT 0$")


def test_top_json_prints_an_object_an_update(daemon: DaemonProcess) -> None:
    done = daemon.tocsin("top", "--count", "2", "--interval", "10ms", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["pid"] for each in told] == [daemon.process.pid] * 2
    daemon.kill()
    assert daemon.tocsin("top", "--count", "1").returncode == 69
