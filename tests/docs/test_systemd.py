"""The commands of docs/how-to/systemd.md, on another root."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.fake_root import Elsewhere
from tests.docs.fake_root import chapter as chapter_of
from tests.harness import PATIENCE, DaemonProcess, file, need, route

from tocsind.service.command import after_install

UNITS = "etc/systemd/system"


def chapter(title: str, language: str = "sh") -> list[str]:
    return chapter_of("systemd.md", title, language)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path, file() + route("local-file")) as process:
        yield process


@pytest.fixture
def elsewhere(daemon: DaemonProcess) -> Elsewhere:
    return Elsewhere(daemon)


def verified(elsewhere: Elsewhere, *units: str) -> str:
    """The complaints of systemd about units with their drop-ins."""
    paths = [elsewhere.root / UNITS / unit for unit in units]
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", *paths],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def test_install_commands_write_units_and_first_signal_arrives(elsewhere: Elsewhere, daemon: DaemonProcess) -> None:
    commands, first_signal = chapter("Install it")
    [output] = chapter("Install it", "text")
    written, _, following = output.partition("next:\n")
    assert elsewhere.run(commands) == written
    assert elsewhere.noted() == ["pip install tocsin[daemon]"]
    assert following.splitlines() == [f"  {shlex.join(command)}" for command in after_install(user=False)]
    assert "ExecStart=" in elsewhere.run("$ROOT/usr/local/bin/tocsind service install --dry-run")
    daemon.start()
    elsewhere.run(first_signal)
    assert '"hello"' in (daemon.state / "alerts.jsonl").read_text()


def test_configure_commands_write_readable_file(elsewhere: Elsewhere) -> None:
    [commands] = chapter("Configure it")
    assert "/etc/tocsin/alerts.toml: ok" in elsewhere.run(commands)
    assert elsewhere.noted() == ["chgrp tocsin /etc/tocsin/alerts.toml", "systemctl reload tocsind"]
    assert (elsewhere.root / "etc/tocsin/alerts.toml").stat().st_mode & 0o777 == 0o640


def test_group_and_drop_in_pass_systemd_analyze(elsewhere: Elsewhere) -> None:
    for commands in chapter("Let programs use it"):
        elsewhere.run(commands)
    assert elsewhere.noted() == ["adduser trader tocsin"]
    (elsewhere.root / UNITS / "trader.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert verified(elsewhere, "trader.service") == ""


def test_restart_stop_and_status_commands_run(elsewhere: Elsewhere, daemon: DaemonProcess) -> None:
    daemon.start()
    for title in ("Restart, upgrade, stop", "Look at it"):
        for commands in chapter(title):
            elsewhere.run(commands)
    assert elsewhere.noted() == [
        "systemctl restart tocsind.service",
        "systemctl stop tocsind.socket tocsind.service",
        "systemctl status tocsind.service",
        "journalctl -u tocsind.service --since today",
    ]


def test_drop_in_of_daemon_passes_systemd_analyze(elsewhere: Elsewhere) -> None:
    elsewhere.run("tocsind service install")
    [commands] = chapter("Change a unit")
    elsewhere.run(commands)
    assert elsewhere.noted() == ["systemctl daemon-reload", "systemctl restart tocsind.service"]
    assert verified(elsewhere, "tocsind.service", "tocsind.socket") == ""


def test_user_install_and_uninstall_commands_run(elsewhere: Elsewhere) -> None:
    [commands] = chapter("Without root")
    assert elsewhere.run(commands).count("wrote ") == 2
    assert elsewhere.noted()[0] == "systemctl --user daemon-reload"
    elsewhere.run("tocsind service install")
    [commands] = chapter("Remove it")
    assert elsewhere.run(commands).count("removed ") == 4
