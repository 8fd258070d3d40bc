"""docs/how-to/on-failure.md: systemd accepts its units, and ExecStart of the template sends the alert that the page describes."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.fake_root import Elsewhere
from tests.docs.fake_root import chapter as chapter_of
from tests.harness import PATIENCE, DaemonProcess, discord, file, need, route, until

UNITS = "etc/systemd/system"
TEMPLATE = "tocsin-failure@.service"
STATUS = "x backup.service - Nightly backup\n     Active: failed (Result: exit-code)\n\nbackup[4711]: cannot connect\n"


def chapter(title: str, language: str = "sh") -> list[str]:
    return chapter_of("on-failure.md", title, language)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with DaemonProcess(tmp_path, file() + route("local-file")) as daemon:
        made = Elsewhere(daemon)
        made.run(chapter("Write the template")[0])
        yield made


def verified(elsewhere: Elsewhere, *units: str) -> str:
    """The complaints of systemd about these units. Its own search path has no `tocsin` on a machine without a package."""
    for folder in (elsewhere.root / UNITS).rglob("*.service"):
        folder.write_text(folder.read_text().replace("| tocsin", f"| {Path(sys.executable).parent}/tocsin"))
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", *(elsewhere.root / UNITS / unit for unit in units)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def exec_start(elsewhere: Elsewhere, unit: str) -> list[str]:
    """The words of ExecStart as systemd gives them to the process: %i and %H are the only specifiers."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(elsewhere.root / UNITS / TEMPLATE)
    command = parser["Service"]["ExecStart"]
    assert "$" not in command  # systemd would expand it
    return [word.replace("%i", unit).replace("%H", "db1") for word in shlex.split(command)]


def sent(elsewhere: Elsewhere, unit: str) -> dict[str, Any]:
    """Run ExecStart for a failed unit; the signal that the daemon delivered."""
    elsewhere.stand_in("systemctl", f"printf '%s' '{STATUS}'; exit 3")
    elsewhere.run(shlex.join(exec_start(elsewhere, unit)))
    until(lambda: elsewhere.daemon.status()["counters"]["notifications_sent"] == 1)
    [row] = elsewhere.daemon.client.request("queue", state="sent")["deliveries"]
    found: dict[str, Any] = elsewhere.daemon.client.why(row["id"])["signal"]
    return found


def test_template_passes_systemd_analyze(elsewhere: Elsewhere) -> None:
    assert elsewhere.noted() == ["systemctl daemon-reload"]
    assert verified(elsewhere, "tocsin-failure@backup.service.service") == ""


@pytest.mark.parametrize("unit", ["backup.service", "my-job@a\\x2db.timer", "-.mount"])
def test_exec_start_sends_status_of_failed_unit(elsewhere: Elsewhere, unit: str) -> None:
    elsewhere.daemon.start()
    alert = sent(elsewhere, unit)
    assert alert["title"] == f"Unit {unit} failed on db1"
    assert (alert["body"], alert["priority"], alert["source"]) == (STATUS, "high", "systemd")


def test_exec_start_without_daemon_spools(elsewhere: Elsewhere) -> None:
    elsewhere.stand_in("systemctl", f"printf '%s' '{STATUS}'; exit 3")
    assert "spooled" in elsewhere.run(shlex.join(exec_start(elsewhere, "backup.service")))
    elsewhere.daemon.start()
    until(lambda: elsewhere.daemon.status()["counters"]["notifications_sent"] == 1)


def test_drop_in_of_one_unit_passes_systemd_analyze(elsewhere: Elsewhere) -> None:
    [commands] = chapter("Add it to one unit")
    elsewhere.run(commands)
    (elsewhere.root / UNITS / "backup.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert verified(elsewhere, "backup.service") == ""


def test_drop_in_of_all_services_excludes_template(elsewhere: Elsewhere) -> None:
    [commands] = chapter("Add it to all services")
    elsewhere.run(commands)
    assert (elsewhere.root / UNITS / "service.d/10-alert.conf").read_text() == (
        "[Unit]\nOnFailure=tocsin-failure@%n.service\n"
    )
    assert (elsewhere.root / UNITS / f"{TEMPLATE}.d/10-alert.conf").readlink() == Path("/dev/null")


def test_route_is_accepted_by_check(elsewhere: Elsewhere) -> None:
    [table] = chapter("Choose who reads it", "toml")
    ops = discord("alerts-critical", "http://127.0.0.1:9/api/webhooks/1/x")
    elsewhere.daemon.configure(table + ops + file() + route("local-file"))
    said = elsewhere.run(f"tocsind check --config {elsewhere.daemon.config}")
    assert "2 routes" in said
